// Evaluation records as text for people.
#pragma once

#include <string>

#include "kvt/eval/kld.h"
#include "kvt/eval/ppl.h"
#include "kvt/harness/agreement.h"

namespace kvt::cli {

// --- Interface ---

// A table with one plan a row, the floors under it, settings and warnings; ends with a newline.
std::string kld_text(const KldRecord & record);
std::string ppl_text(const PplRecord & record);
std::string agreement_text(const AgreementRecord & record);

}  // namespace kvt::cli
