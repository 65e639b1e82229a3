#include "kvt/tasks/data_list.h"

#include "kvt/base/sha256.h"
#include "kvt/base/shipped_data.h"

namespace kvt::tasks {

const std::vector<DataFile> & data_list() {
    using Origin = DataFile::Origin;
    static const std::vector<DataFile> files{
        {"gsm8k", "gsm8k/test.jsonl", "3730d312f6e3440559ace48831e51066acaca737f6eabec99bccb9e4b3c39d14", "MIT",
         "github.com/openai/grade-school-math"},
        {"gsm8k shots", "gsm8k_train_20.jsonl", "91763575e4b428554b2fb985a854b4cf726bb1fd813954443376622f895ea271", "MIT",
         "github.com/openai/grade-school-math, first 20 train rows"},
        {"gsm8k tuning", "gsm8k/train.head.jsonl", "7d704b26d5eff71cec6ad80e8cbde266b917071091d0738ea94cbd0838b9f477", "MIT",
         "github.com/openai/grade-school-math, first 420 train rows"},
        {"math500", "math500/test.jsonl", "3caef63606e2c4ad3bcc36724e7b83f72a837cefac1d0856c28291b4f3f4ec89", "MIT",
         "github.com/openai/prm800k, without the solutions"},
        {"aime24", "aime/aime24.jsonl", "d7aca2c506cfe5c009385ab67f4b3ed8ad5daba5fc3e225d3de3a9d32a783de3",
         "Apache-2.0 of the carrier; problems (c) MAA", "github.com/NVIDIA/NeMo-Skills"},
        {"aime25", "aime/aime25.jsonl", "a4f8fa0986efc1dbdcca0eb117f8ff2d2cd4f1db2a204bc9a393011c52db5f68",
         "Apache-2.0 of the carrier; problems (c) MAA", "github.com/NVIDIA/NeMo-Skills"},
        {"gpqa", "gpqa_diamond.csv", "", "CC BY 4.0, gated: no example may be shown",
         "Hugging Face Idavidrein/gpqa after accepting its terms; name it with --data", Origin::user},
        {"niah_*, wiki_*", "ruler_words/adjectivelist.txt", "66814d46b7e292c83e839d12fe2fa083c8f66779b14b294e1be4e1342c5d4131",
         "MIT", "github.com/mrmaxguns/wonderwordsmodule"},
        {"niah_*, wiki_*", "ruler_words/nounlist.txt", "8d88b3ebc2e2969ed92ebe49cdb0c8a87c2ad3b27493d7afdff608f2e51c5bc9", "MIT",
         "github.com/mrmaxguns/wonderwordsmodule"},
        {"wiki_*", "wikitext2/wiki.test.head.raw", "14b89d8d74cc00bdfab16024fa4bac9db9e851934b7e00e9a27a8911e889f35d",
         "CC BY-SA 3.0, GFDL", "WikiText-2, first 128 KiB of the test split"},
        {"humaneval", "humaneval/HumanEval.jsonl", "1d49078ba3e2b196b9344535bef34a43021f038fad9561d6ee7c53450609a6a2", "MIT",
         "github.com/openai/human-eval"},
        {"livecodebench", "test.jsonl, test2.jsonl ... test6.jsonl", "", "problems belong to LeetCode, AtCoder, Codeforces",
         "Hugging Face livecodebench/code_generation_lite; name them with --data", Origin::user},
    };
    return files;
}

DataState data_state(const DataFile & file) {
    if (file.origin == DataFile::Origin::user) return {DataState::State::user, "", ""};
    const auto path = shipped_data(file.file);
    if (!path.ok()) return {};
    const auto sha256 = sha256_file(*path);
    if (!sha256.ok()) return {};
    return {*sha256 == file.sha256 ? DataState::State::present : DataState::State::changed, *path, *sha256};
}

}  // namespace kvt::tasks
