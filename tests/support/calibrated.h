// A calibration of a small model in a folder of its own, for plans with transforms.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include <unistd.h>

#include <gtest/gtest.h>

#include "kvt/base/file_io.h"
#include "kvt/plan/calibration.h"
#include "kvt/tuner/calibrate/calibrate.h"

namespace kvt::testing {

// --- Interface ---

class Calibration {
public:
    // Calibrates on the last 4096 tokens.
    Calibration(ModelRunner & runner, std::vector<Token> tokens, int positions = 512)
        : model_(runner.info()), folder_(::testing::TempDir() + "kvt_calibration_" + std::to_string(::getpid())) {
        tokens.erase(tokens.begin(), tokens.end() - 4096);
        const auto moments = measure_moments(runner, tokens, positions, 1, no_progress());
        EXPECT_TRUE(moments.ok()) << moments.error().message;
        if (!moments.ok()) return;
        EXPECT_TRUE(make_folder(folder_).ok());
        const SafetensorsFile file{design_transforms(*moments), {{std::string(kPositionsKey), std::to_string(positions)}}};
        EXPECT_TRUE(write_file_atomic(path(), write_safetensors(file)).ok());
        const auto ref = describe_calibration(path());
        EXPECT_TRUE(ref.ok()) << ref.error().message;
        if (ref.ok()) ref_ = *ref;
    }
    ~Calibration() { std::filesystem::remove_all(folder_); }
    Calibration(const Calibration &)             = delete;
    Calibration & operator=(const Calibration &) = delete;

    std::string path() const { return folder_ + "/all.safetensors"; }

    PrecisionPlan plan(int k_bits, int v_bits) const {
        PrecisionPlan plan = uniform_plan(model_, Mode::rotated, k_bits, v_bits);
        plan.calibration   = ref_;
        return plan;
    }

private:
    ModelInfo      model_;
    std::string    folder_;
    CalibrationRef ref_;
};

}  // namespace kvt::testing
