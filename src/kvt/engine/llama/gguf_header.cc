#include "kvt/engine/llama/gguf_header.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>

#include <fmt/format.h>
#include <ggml.h>

namespace kvt {

// --- Implementation ---

namespace {

constexpr uint64_t kMaxKeyBytes  = 65535;    // the limit of the format's text
constexpr uint64_t kMaxKept      = 4096;     // per-layer arrays; vocabularies are walked, not kept
constexpr uint64_t kMaxKeptText  = 1 << 20;  // chat templates reach tens of kB
constexpr uint64_t kMaxAlignment = 1 << 20;

enum GgufType : uint32_t { u8, i8, u16, i16, u32, i32, f32, boolean, string, array, u64, i64, f64, n_types };

constexpr uint64_t type_bytes(uint32_t type) {
    constexpr uint64_t bytes[n_types] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};
    return bytes[type];
}

std::string printable(std::string_view raw) {
    std::string out(raw);
    for (char & c : out) {
        if (static_cast<unsigned char>(c) < 0x20 || static_cast<unsigned char>(c) >= 0x7f) c = '?';
    }
    return out;
}

// A file mapped for reading.
class Mapping {
public:
    static Result<std::unique_ptr<Mapping>> open(const std::string & path) {
        const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
        if (fd < 0) return Error{fmt::format("cannot open model {}: {}", path, std::strerror(errno))};
        struct stat info {};
        if (::fstat(fd, &info) != 0 || !S_ISREG(info.st_mode)) {
            ::close(fd);
            return Error{
                fmt::format("{} is not a model file but a {}", path, S_ISDIR(info.st_mode) ? "folder" : "device or pipe")};
        }
        if (info.st_size == 0) {
            ::close(fd);
            return Error{fmt::format("model {} is empty (0 bytes): download it again", path)};
        }
        const auto size = static_cast<size_t>(info.st_size);
        void *     data = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, fd, 0);
        const int  why  = errno;
        ::close(fd);
        if (data == MAP_FAILED) return Error{fmt::format("cannot read model {}: {}", path, std::strerror(why))};
        return std::unique_ptr<Mapping>(new Mapping(data, size));
    }
    ~Mapping() { ::munmap(data_, size_); }
    Mapping(const Mapping &)             = delete;
    Mapping & operator=(const Mapping &) = delete;

    std::span<const std::byte> bytes() const { return {static_cast<const std::byte *>(data_), size_}; }

private:
    Mapping(void * data, size_t size) : data_(data), size_(size) {}
    void * data_;
    size_t size_;
};

}  // namespace

class GgufParser {
public:
    GgufParser(std::span<const std::byte> bytes, const std::string & name) : bytes_(bytes) { header_.name_ = name; }

    Result<GgufHeader> run() {
        KVT_CHECK_OK(preamble());
        for (int64_t i = 0; i < n_keys_; ++i) {
            KVT_CHECK_OK(key_value(i));
        }
        KVT_CHECK_OK(alignment());
        for (int64_t i = 0; i < header_.n_tensors_; ++i) {
            KVT_CHECK_OK(tensor(i));
        }
        KVT_CHECK_OK(data_fits());
        return std::move(header_);
    }

private:
    uint64_t left() const { return bytes_.size() - at_; }

    Error broken(std::string_view what) const { return Error{fmt::format("model {}: {}", header_.name_, what)}; }
    Error truncated(std::string_view where) const {
        return broken(fmt::format("truncated or damaged: the file ends inside {} (at byte {} of {}); download it again", where,
                                  at_, bytes_.size()));
    }

    template <class T>
    Status take(T & out, std::string_view where) {
        if (left() < sizeof(T)) return truncated(where);
        std::memcpy(&out, bytes_.data() + at_, sizeof(T));
        at_ += sizeof(T);
        return ok_status();
    }

    Status take_string(std::string_view & out, std::string_view where) {
        uint64_t size = 0;
        KVT_CHECK_OK(take(size, where));
        if (size > left()) return truncated(where);
        out = {reinterpret_cast<const char *>(bytes_.data() + at_), static_cast<size_t>(size)};
        at_ += size;
        return ok_status();
    }

    Status preamble() {
        char magic[4] = {};
        if (left() < sizeof(magic)) return broken(fmt::format("not a GGUF file: only {} bytes", bytes_.size()));
        KVT_CHECK_OK(take(magic, "the magic"));
        if (std::memcmp(magic, "GGUF", 4) != 0) {
            return broken(fmt::format("not a GGUF file: it starts with '{}' instead of 'GGUF'", printable({magic, 4})));
        }
        uint32_t version = 0;
        KVT_CHECK_OK(take(version, "the version"));
        if (version != 2 && version != 3) return broken(fmt::format("GGUF version {} is not supported (2 and 3 are)", version));
        KVT_CHECK_OK(take(header_.n_tensors_, "the number of tensors"));
        KVT_CHECK_OK(take(n_keys_, "the number of keys"));
        // Each key takes at least 13 bytes and each tensor at least 24, so larger counts cannot be honest.
        if (n_keys_ < 0 || static_cast<uint64_t>(n_keys_) > bytes_.size() / 13) {
            return broken(fmt::format("damaged header: {} keys in {} bytes", n_keys_, bytes_.size()));
        }
        if (header_.n_tensors_ < 0 || static_cast<uint64_t>(header_.n_tensors_) > bytes_.size() / 24) {
            return broken(fmt::format("damaged header: {} tensors in {} bytes", header_.n_tensors_, bytes_.size()));
        }
        return ok_status();
    }

    // One scalar of an integer type as its value; negative values saturate to the largest, which no field accepts.
    Status take_integer(uint32_t type, uint64_t & out, std::string_view where) {
        const uint64_t size = type_bytes(type);
        if (left() < size) return truncated(where);
        uint64_t raw = 0;
        std::memcpy(&raw, bytes_.data() + at_, size);
        at_ += size;
        const bool is_signed = type == i8 || type == i16 || type == i32 || type == i64;
        const bool negative  = is_signed && (raw >> (8 * size - 1)) != 0;
        out                  = negative ? ~uint64_t{0} : raw;
        return ok_status();
    }

    static bool is_integral(uint32_t type) { return type != f32 && type != f64 && type != string && type != array; }

    Status key_value(int64_t index) {
        std::string_view key;
        KVT_CHECK_OK(take_string(key, fmt::format("key {}", index)));
        if (key.empty() || key.size() > kMaxKeyBytes)
            return broken(fmt::format("damaged header: key {} has {} bytes", index, key.size()));
        const std::string name = printable(key);
        uint32_t          type = 0;
        KVT_CHECK_OK(take(type, name));
        GgufHeader::Value value;
        uint64_t          count = 1;
        if (type == array) {
            value.is_array = true;
            KVT_CHECK_OK(take(type, name));
            KVT_CHECK_OK(take(count, name));
        }
        if (type >= n_types || type == array)
            return broken(fmt::format("damaged header: key '{}' has unknown type {}", name, type));
        if (type == string) {
            if (count > left() / 8) return truncated(name);
            value.is_text = true;
            for (uint64_t i = 0; i < count; ++i) {
                std::string_view text;
                KVT_CHECK_OK(take_string(text, name));
                if (!value.is_array) value.text = text.substr(0, kMaxKeptText);
            }
        } else {
            if (count > left() / type_bytes(type)) return truncated(name);
            value.integral = is_integral(type);
            if (value.integral && count <= kMaxKept) {
                value.numbers.resize(count);
                for (uint64_t & n : value.numbers) {
                    KVT_CHECK_OK(take_integer(type, n, name));
                }
            } else {
                at_ += count * type_bytes(type);
            }
        }
        if (!header_.values_.emplace(name, std::move(value)).second)
            return broken(fmt::format("damaged header: key '{}' appears twice", name));
        return ok_status();
    }

    Status alignment() {
        KVT_TRY(const auto given, header_.number("general.alignment"));
        alignment_ = given.value_or(32);
        if (!std::has_single_bit(alignment_) || alignment_ > kMaxAlignment) {
            return broken(fmt::format("damaged header: general.alignment is {}, not a power of two", alignment_));
        }
        return ok_status();
    }

    Status tensor(int64_t index) {
        std::string_view raw_name;
        KVT_CHECK_OK(take_string(raw_name, fmt::format("the name of tensor {}", index)));
        if (raw_name.size() >= GGML_MAX_NAME)
            return broken(fmt::format("damaged header: the name of tensor {} has {} bytes", index, raw_name.size()));
        const std::string name   = printable(raw_name);
        uint32_t          n_dims = 0, type = 0;
        KVT_CHECK_OK(take(n_dims, name));
        if (n_dims > GGML_MAX_DIMS) return broken(fmt::format("damaged header: tensor '{}' has {} dimensions", name, n_dims));
        uint64_t elements = 1, row = 1;
        for (uint32_t d = 0; d < n_dims; ++d) {
            uint64_t n = 0;
            KVT_CHECK_OK(take(n, name));
            if (d == 0) row = n;
            if (n == 0 || n > uint64_t{1} << 40 || elements > (uint64_t{1} << 48) / n) {
                return broken(fmt::format("damaged header: dimension {} of tensor '{}' is {}", d, name, n));
            }
            elements *= n;
        }
        KVT_CHECK_OK(take(type, name));
        uint64_t offset = 0;
        KVT_CHECK_OK(take(offset, name));
        const auto ggml_kind = static_cast<ggml_type>(type);
        if (type >= GGML_TYPE_COUNT || ggml_blck_size(ggml_kind) == 0) {
            return broken(fmt::format("tensor '{}' has type {}, which this llama.cpp does not know", name, type));
        }
        const auto block = static_cast<uint64_t>(ggml_blck_size(ggml_kind));
        if (row % block != 0)
            return broken(fmt::format("damaged header: tensor '{}' has rows of {} elements in blocks of {}", name, row, block));
        if (offset % alignment_ != 0)
            return broken(fmt::format("damaged header: tensor '{}' starts at unaligned offset {}", name, offset));
        const uint64_t size = elements / block * ggml_type_size(ggml_kind);
        if (offset > bytes_.size() || size > bytes_.size() - offset)
            last_name_ = name, end_ = ~uint64_t{0};
        else if (offset + size > end_)
            last_name_ = name, end_ = offset + size;
        return ok_status();
    }

    Status data_fits() {
        if (header_.n_tensors_ == 0) return ok_status();
        const uint64_t start = (at_ + alignment_ - 1) / alignment_ * alignment_;
        if (start > bytes_.size() || end_ > bytes_.size() - start) {
            return broken(
                fmt::format("truncated: the data of tensor '{}' lies beyond the end of the file ({} bytes); download it again",
                            last_name_, bytes_.size()));
        }
        return ok_status();
    }

    std::span<const std::byte> bytes_;
    GgufHeader                 header_;
    uint64_t                   at_ = 0, alignment_ = 32, end_ = 0;
    int64_t                    n_keys_ = 0;
    std::string                last_name_;
};

Result<GgufHeader> GgufHeader::parse(std::span<const std::byte> bytes, const std::string & name) {
    return GgufParser(bytes, name).run();
}

Result<GgufHeader> GgufHeader::read(const std::string & path) {
    KVT_TRY(const auto mapping, Mapping::open(path));
    return parse(mapping->bytes(), path);
}

bool GgufHeader::has(std::string_view key) const { return values_.find(key) != values_.end(); }

bool GgufHeader::has_prefix(std::string_view prefix) const {
    const auto it = values_.lower_bound(prefix);
    return it != values_.end() && it->first.starts_with(prefix);
}

Result<std::optional<std::string>> GgufHeader::raw_text(std::string_view key) const {
    const auto it = values_.find(key);
    if (it == values_.end()) return std::optional<std::string>{};
    if (!it->second.is_text || it->second.is_array) return Error{fmt::format("model {}: key '{}' must be a string", name_, key)};
    return std::optional{it->second.text};
}

Result<std::optional<std::string>> GgufHeader::text(std::string_view key) const {
    KVT_TRY(std::optional<std::string> raw, raw_text(key));
    if (raw) raw = printable(*raw);
    return raw;
}

Result<std::optional<uint64_t>> GgufHeader::number(std::string_view key) const {
    const auto it = values_.find(key);
    if (it == values_.end()) return std::optional<uint64_t>{};
    if (it->second.is_array || !it->second.integral)
        return Error{fmt::format("model {}: key '{}' must be a whole number", name_, key)};
    return std::optional{it->second.numbers[0]};
}

Result<std::vector<uint64_t>> GgufHeader::numbers(std::string_view key) const {
    const auto it = values_.find(key);
    if (it == values_.end()) return std::vector<uint64_t>{};
    if (it->second.numbers.empty()) {
        return Error{fmt::format("model {}: key '{}' must be a whole number or a list of at most {}", name_, key, kMaxKept)};
    }
    return it->second.numbers;
}

}  // namespace kvt
