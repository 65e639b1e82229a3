// Memory at cache-line alignment that only grows: scratch that is reused from call to call.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>

namespace kvt {

// --- Interface ---

class AlignedBuffer {
public:
    static constexpr size_t kAlignment = 64;

    AlignedBuffer() = default;
    explicit AlignedBuffer(size_t bytes) { reserve(bytes); }

    // At least `bytes`; what was stored is lost when it grows. Throws std::bad_alloc.
    void reserve(size_t bytes) {
        if (bytes <= size_) return;
        data_.reset(static_cast<uint8_t *>(::operator new (bytes, std::align_val_t{kAlignment})));
        size_ = bytes;
    }

    uint8_t *       data() { return data_.get(); }
    const uint8_t * data() const { return data_.get(); }
    size_t          size() const { return size_; }

private:
    struct Free {
        void operator()(uint8_t * p) const { ::operator delete (p, std::align_val_t{kAlignment}); }
    };
    std::unique_ptr<uint8_t, Free> data_;
    size_t                         size_ = 0;
};

}  // namespace kvt
