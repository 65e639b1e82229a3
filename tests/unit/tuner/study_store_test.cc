#include "kvt/tuner/study_store.h"

#include <filesystem>

#include <sys/wait.h>
#include <unistd.h>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "kvt/base/file_io.h"
#include "kvt/base/rng.h"
#include "support/results.h"

namespace kvt::testing {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

class StudyFile : public ::testing::Test {
protected:
    void SetUp() override {
        folder_ = ::testing::TempDir() + "kvt_study_" + ::testing::UnitTest::GetInstance()->current_test_info()->name();
        fs::remove_all(folder_);
        ASSERT_TRUE(make_folder(folder_).ok());
        path_  = folder_ + "/study.sqlite";
        study_ = paper_results().study;
    }
    void TearDown() override { fs::remove_all(folder_); }

    // The study with its first n evaluations.
    Study first(size_t n) const {
        Study s    = study_;
        s.complete = false;
        s.front.clear();
        s.evaluations.resize(n);
        return s;
    }
    static std::string text_of(const std::string & file) {
        const auto study = read_study(file);
        return study.ok() ? write_record(*study) : study.error().message;
    }
    std::string complaint() const {
        const auto study = read_study(path_);
        EXPECT_FALSE(study.ok());
        return study.ok() ? "" : study.error().message;
    }
    void run_sql(const std::string & sql) const {
        const auto database = Database::open(path_, Database::Access::write);
        ASSERT_TRUE(database.ok());
        const Status done = database->run(sql);
        ASSERT_TRUE(done.ok()) << done.error().message;
    }

    std::string folder_, path_;
    Study       study_;
};

TEST_F(StudyFile, GrowsByEvaluationsAndReadsBackEqual) {
    {
        auto store = StudyStore::create(path_, first(0));
        ASSERT_TRUE(store.ok()) << store.error().message;
        EXPECT_EQ(text_of(path_), write_record(first(0)));
        for (size_t n = 1; n <= study_.evaluations.size(); ++n) {
            ASSERT_TRUE(store->save(first(n)).ok());
            EXPECT_EQ(text_of(path_), write_record(first(n))) << "a reader sees every commit while the writer is at work";
        }
        ASSERT_TRUE(store->save(study_).ok());
        EXPECT_TRUE(file_exists(path_ + "-wal"));
    }
    EXPECT_EQ(text_of(path_), write_record(study_));
    EXPECT_FALSE(file_exists(path_ + "-wal")) << "a finished study is one file";
    EXPECT_FALSE(file_exists(path_ + "-shm"));
}

TEST_F(StudyFile, ResumeAddsAndNamesWhatIsThere) {
    study_.evaluations[1].seconds = 1.25;
    study_.evaluations[1].worker  = "host:7";
    Study unnamed                 = first(2);
    unnamed.evaluations[0].label  = "";
    ASSERT_TRUE(StudyStore::create(path_, unnamed).ok());
    auto stored = read_study(path_);
    ASSERT_TRUE(stored.ok());
    EXPECT_EQ(stored->evaluations[1].seconds, 1.25);
    EXPECT_EQ(stored->evaluations[1].worker, "host:7");
    auto store = StudyStore::resume(path_, *stored);
    ASSERT_TRUE(store.ok()) << store.error().message;
    ASSERT_TRUE(store->save(study_).ok());
    EXPECT_EQ(text_of(path_), write_record(study_));
}

// Scores that came before their turn: kept, and given their place when the search comes to them.
TEST_F(StudyFile, EvaluationsAheadOfTheSearch) {
    Study early = first(1);
    early.ahead = {study_.evaluations[3], study_.evaluations[2]};
    auto store  = StudyStore::create(path_, first(0));
    ASSERT_TRUE(store.ok() && store->save(early).ok());
    auto stored = read_study(path_);
    ASSERT_TRUE(stored.ok()) << stored.error().message;
    EXPECT_EQ(write_record(*stored), write_record(first(1)));
    ASSERT_EQ(stored->ahead.size(), 2u);
    std::vector<double> kld{stored->ahead[0].kld, stored->ahead[1].kld};
    EXPECT_THAT(kld, ::testing::UnorderedElementsAre(study_.evaluations[2].kld, study_.evaluations[3].kld));
    ASSERT_TRUE(store->save(study_).ok());
    EXPECT_EQ(text_of(path_), write_record(study_));
    EXPECT_TRUE(read_study(path_)->ahead.empty());
}

TEST_F(StudyFile, FiguresCanBeAskedForBySql) {
    ASSERT_TRUE(StudyStore::create(path_, study_).ok());
    const auto database = Database::open(path_, Database::Access::read);
    ASSERT_TRUE(database.ok());
    const Evaluation & last = study_.evaluations.back();
    auto               rows = database->prepare("SELECT kld, effective_bits, n_chunks FROM evaluation ORDER BY position DESC");
    ASSERT_TRUE(rows.ok());
    Statement & row = *rows;
    ASSERT_TRUE(*row.step());
    EXPECT_EQ(row.number(0), last.kld);
    EXPECT_EQ(row.number(1), last.effective_bits);
    EXPECT_EQ(row.integer(2), study_.n_chunks);
    EXPECT_EQ(*database->text("SELECT model_sha256 FROM study"), study_.model.file_sha256);
    EXPECT_EQ(*database->text("SELECT inputs_sha256 FROM study"), study_.inputs_sha256);
    EXPECT_EQ(*database->integer("SELECT count(DISTINCT length(plan_sha256)) FROM evaluation"), 1);
}

// A process that dies without a word leaves everything that save() said was saved.
TEST_F(StudyFile, KilledWriterLosesNothingSaved) {
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
        auto store = StudyStore::create(path_, first(0));
        for (size_t n = 1; store.ok() && n <= 3; ++n)
            if (!store->save(first(n)).ok()) ::_exit(1);
        ::kill(::getpid(), SIGKILL);
    }
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFSIGNALED(status));
    EXPECT_TRUE(file_exists(path_ + "-wal"));
    EXPECT_EQ(text_of(path_), write_record(first(3)));
    const auto stored = read_study(path_);
    auto       store  = StudyStore::resume(path_, *stored);
    ASSERT_TRUE(store.ok());
    ASSERT_TRUE(store->save(study_).ok());
    EXPECT_EQ(text_of(path_), write_record(study_));
}

// Versions 1 and 2 were JSON: read where they lie, and turned into SQLite by the first search that goes on with them.
TEST_F(StudyFile, StudiesInJsonAreMigrated) {
    const std::string newest    = write_record(first(2));
    std::string       version_2 = newest;
    version_2.replace(version_2.find("\"schema_version\": 3"), 19, "\"schema_version\": 2");
    version_2.erase(version_2.find(" \"objective\""), std::string(" \"objective\": \"kld\",\n").size());
    std::string version_1 = version_2;
    version_1.replace(version_1.find("\"schema_version\": 2"), 19, "\"schema_version\": 1");
    const size_t from = version_1.find(" \"seeded\""), to = version_1.find(" \"chunk_tokens\"");
    version_1.erase(from, to - from);
    for (const std::string & text : {version_1, version_2}) {
        for (const char * name : {"study.json", "study.sqlite", "mine.json"}) {
            const std::string file = folder_ + "/" + name, at = std::string(name) == "mine.json" ? file : path_;
            ASSERT_TRUE(write_file_atomic(file, text).ok());
            ASSERT_EQ(study_file(at), file);
            auto stored = read_study(file);
            ASSERT_TRUE(stored.ok()) << stored.error().message;
            EXPECT_EQ(write_record(*stored), newest);
            EXPECT_EQ(*read_file(file), text) << "reading changes nothing";
            {
                auto store = StudyStore::resume(at, *stored);
                ASSERT_TRUE(store.ok()) << store.error().message;
                ASSERT_TRUE(store->save(study_).ok());
            }
            EXPECT_EQ(study_file(at), at);
            EXPECT_EQ(text_of(at), write_record(study_));
            EXPECT_EQ(file_exists(file), file == at) << "what was moved is not left behind";
            fs::remove(at);
        }
    }
}

// A file as version 1 left it: without the column `worker`.
TEST_F(StudyFile, DatabaseOfVersionOneIsMigrated) {
    ASSERT_TRUE(StudyStore::create(path_, first(2)).ok());
    run_sql("ALTER TABLE evaluation DROP COLUMN worker; PRAGMA user_version = 1");
    auto stored = read_study(path_);
    ASSERT_TRUE(stored.ok()) << stored.error().message;
    EXPECT_EQ(write_record(*stored), write_record(first(2)));
    study_.evaluations[3].worker = "host:1";
    {
        auto store = StudyStore::resume(path_, *stored);
        ASSERT_TRUE(store.ok()) << store.error().message;
        ASSERT_TRUE(store->save(study_).ok());
    }
    stored = read_study(path_);
    ASSERT_TRUE(stored.ok()) << stored.error().message;
    EXPECT_EQ(write_record(*stored), write_record(study_));
    EXPECT_EQ(stored->evaluations[0].worker, "");
    EXPECT_EQ(stored->evaluations[3].worker, "host:1");
    EXPECT_EQ(*Database::open(path_, Database::Access::read)->integer("PRAGMA user_version"), kStudyVersion);
}

TEST_F(StudyFile, OnlyStudyJsonBesideStudySqliteIsTaken) {
    ASSERT_TRUE(write_file_atomic(folder_ + "/study.json", write_record(study_)).ok());
    EXPECT_EQ(study_file(folder_ + "/other.sqlite"), "");
    EXPECT_EQ(study_file(folder_ + "/elsewhere/study.sqlite"), "");
    ASSERT_TRUE(write_file_atomic(path_, "").ok());
    EXPECT_EQ(study_file(path_), path_);
}

TEST_F(StudyFile, WhatCannotBeReadIsNamed) {
    ASSERT_TRUE(StudyStore::create(path_, study_).ok());
    run_sql("PRAGMA user_version = 9");
    EXPECT_THAT(complaint(),
                AllOf(HasSubstr(path_), HasSubstr("written by a newer kvtuner (version 9"), HasSubstr("update kvtuner")));
    run_sql("PRAGMA user_version = 2; DELETE FROM study");
    EXPECT_THAT(complaint(), HasSubstr(path_));
    ASSERT_TRUE(StudyStore::create(path_, study_).ok());
    run_sql("UPDATE evaluation SET record = '{}' WHERE position = 1");
    EXPECT_THAT(complaint(), AllOf(HasSubstr("/evaluations/1"), HasSubstr("--fresh")));
    run_sql("PRAGMA application_id = 7");
    EXPECT_THAT(complaint(), HasSubstr("a database of another program"));
    ASSERT_TRUE(write_file_atomic(path_, "some notes of mine").ok());
    EXPECT_THAT(complaint(), AllOf(HasSubstr("not a study of kvtuner"), Not(HasSubstr("\n"))));
    ASSERT_TRUE(write_file_atomic(path_, write_record(study_).substr(0, 700)).ok());
    EXPECT_THAT(complaint(), AllOf(HasSubstr("not valid JSON"), HasSubstr("--fresh")));
    EXPECT_THAT(text_of(folder_ + "/none.sqlite"), HasSubstr("unable to open"));
}

TEST_F(StudyFile, DamagedBytesAreOneLineOfErrorAtMost) {
    ASSERT_TRUE(StudyStore::create(path_, study_).ok());
    const std::string whole = *read_file(path_);
    SplitMix64        rng(3);
    int               refused = 0;
    for (int round = 0; round < 120; ++round) {
        std::string bytes = whole;
        for (int i = 0; i < 8; ++i) bytes[rng.below(bytes.size())] = static_cast<char>(rng.below(256));
        if (round % 4 == 0) bytes.resize(rng.below(bytes.size()));
        ASSERT_TRUE(write_file_atomic(path_, bytes).ok());
        const auto study = read_study(path_);
        refused += study.ok() ? 0 : 1;
        if (!study.ok()) {
            EXPECT_THAT(study.error().message, AllOf(HasSubstr(path_), Not(HasSubstr("\n"))));
        }
    }
    EXPECT_GT(refused, 30);
}

TEST_F(StudyFile, AFullDiskIsSaidAndLosesNothing) {
    const auto database = Database::open(path_, Database::Access::write);
    ASSERT_TRUE(database.ok());
    ASSERT_TRUE(database->run("CREATE TABLE t (x); PRAGMA max_page_count = 3").ok());
    const Status full = database->run("INSERT INTO t SELECT randomblob(100000)");
    ASSERT_FALSE(full.ok());
    EXPECT_THAT(full.error().message, AllOf(HasSubstr(path_), HasSubstr("the disk is full")));
    EXPECT_EQ(*database->integer("SELECT count(*) FROM t"), 0);
}

TEST_F(StudyFile, CannotBeMade) {
    EXPECT_FALSE(StudyStore::create("/nonexistent/study.sqlite", study_).ok());
    EXPECT_FALSE(StudyStore::create("/proc/study.sqlite", study_).ok());
}

}  // namespace
}  // namespace kvt::testing
