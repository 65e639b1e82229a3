// Finds the data files that come with kvtuner: in an installation beside the program, in a build in the source tree.
#pragma once

#include <string>

#include "kvt/base/result.h"

namespace kvt {

// --- Interface ---

// `name` is relative to the data folder, for example "wikitext2/wiki.test.head.raw". The error lists the places looked at.
Result<std::string> shipped_data(const std::string & name);

// The user's own file, or the shipped one if none is given.
Result<std::string> given_or_shipped(const std::string & given, const std::string & shipped);

}  // namespace kvt
