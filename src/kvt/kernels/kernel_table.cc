#include "kvt/kernels/kernel_table.h"

namespace kvt {

TileSpec make_tile_spec(const Format & format, Side side, int head_dim) {
    TileSpec spec;
    spec.format      = format;
    spec.side        = side;
    spec.bits        = format.bits;
    spec.is_f16      = format.codec == Codec::f16;
    spec.low_bits    = spec.is_f16 ? 0 : low_plane_bits(format.bits);
    spec.high_bits   = spec.is_f16 ? 0 : high_plane_bits(format.bits);
    spec.head_dim    = head_dim;
    spec.stride      = padded_dim(head_dim);
    spec.byte_params = !spec.is_f16 && format.params == Params::byte;
    spec.shrink      = spec.byte_params ? range_shrink(format.bits) : 1.0f;
    spec.per_channel = !spec.is_f16 && format.axis == Axis::per_channel;
    spec.group       = spec.is_f16 || spec.per_channel ? head_dim : format.group;
    spec.n_groups    = (head_dim + spec.group - 1) / spec.group;
    spec.n_parts     = spec.is_f16 ? 1 : tile_parts(format);
    spec.part_bytes  = part_bytes(format, side, head_dim);
    spec.high_at     = plane_bytes(spec.low_bits, side, head_dim);
    spec.scales_at   = tile_scales_at(format, side, head_dim);
    spec.offsets_at  = tile_offsets_at(format, side, head_dim);
    spec.bytes       = tile_bytes(format, side, head_dim);
    return spec;
}

const KernelTable * kernel_table(Isa isa) {
    switch (isa) {
        case Isa::scalar:
            return &kKernelsScalar;
#if defined(__x86_64__)
        case Isa::avx2:
            return &kKernelsAvx2;
        case Isa::avxvnni:
            return &kKernelsAvxVnni;
        case Isa::avx512:
            return &kKernelsAvx512;
#elif defined(__aarch64__)
        case Isa::neon:
            return &kKernelsNeon;
        case Isa::neoni8:
            return &kKernelsNeonI8;
#endif
        default:
            break;
    }
    return nullptr;
}

}  // namespace kvt
