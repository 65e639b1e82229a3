// Tables of the tuner's artefacts for the terminal.
#pragma once

#include <string>
#include <vector>

#include "kvt/tuner/records.h"
#include "kvt/tuner/search/guard.h"

namespace kvt::cli {

// --- Interface ---

std::string sensitivity_text(const SensitivityTable & table);  // e_o of every layer and pair
std::string candidates_text(const CandidateSets & sets);
std::string groups_text(const LayerGroups & groups);
std::string increments_text(const Study & study);  // of every layer
std::string held_out_text(const HeldOutCheck & check);

struct NamedCheck {
    std::string  name;  // of the text
    HeldOutCheck check;
};
// All texts, then how far the chosen plan's KLD on each is from that on the text it was searched on, if it was.
std::string checks_text(const Study & study, const Evaluation & chosen, const std::vector<NamedCheck> & checks);
// What attention is predicted to take with a plan and with uniform ones; empty without a limit of time.
std::string speed_text(const Budget & budget, const std::vector<PairBits> & pairs);
// How much of the choice is luck, in one or two sentences; empty if the study cannot tell.
std::string guard_text(const Guard & guard, const Study & study);
// Bits of K and V by layer, one character each: "K 8844..." over "V 4422...".
std::string plan_strip(const std::vector<PairBits> & pairs);
// What to type to use a plan file with stock llama.cpp programs.
std::string next_steps(const std::string & model_path, const std::string & plan_path, const std::string & plugin_path);

}  // namespace kvt::cli
