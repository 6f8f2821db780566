//! Levels of H.264 (ITU-T H.264, table A-1) and H.265 (ITU-T H.265, tables A.8 and A.9, main tier).

use mps_proto::v1::VideoCodec;

/// What a level allows.
#[derive(Debug, PartialEq)]
pub(crate) struct Level {
    pub name: &'static str,
    /// Most luma samples in a picture (H.264: 256 × macroblocks).
    pub samples: i64,
    /// Most luma samples in a second.
    pub samples_per_second: i64,
    /// Most bit/s of the stream in the profile with the least.
    pub bitrate_bps: i64,
}

const fn avc(name: &'static str, macroblocks_per_second: i64, macroblocks: i64, kbps: i64) -> Level {
    Level {
        name,
        samples: 256 * macroblocks,
        samples_per_second: 256 * macroblocks_per_second,
        bitrate_bps: 1000 * kbps,
    }
}

const fn hevc(name: &'static str, samples: i64, samples_per_second: i64, kbps: i64) -> Level {
    Level {
        name,
        samples,
        samples_per_second,
        bitrate_bps: 1000 * kbps,
    }
}

const AVC: &[Level] = &[
    avc("1", 1485, 99, 64),
    avc("1.1", 3000, 396, 192),
    avc("1.2", 6000, 396, 384),
    avc("1.3", 11_880, 396, 768),
    avc("2", 11_880, 396, 2000),
    avc("2.1", 19_800, 792, 4000),
    avc("2.2", 20_250, 1620, 4000),
    avc("3", 40_500, 1620, 10_000),
    avc("3.1", 108_000, 3600, 14_000),
    avc("3.2", 216_000, 5120, 20_000),
    avc("4", 245_760, 8192, 20_000),
    avc("4.1", 245_760, 8192, 50_000),
    avc("4.2", 522_240, 8704, 50_000),
    avc("5", 589_824, 22_080, 135_000),
    avc("5.1", 983_040, 36_864, 240_000),
    avc("5.2", 2_073_600, 36_864, 240_000),
    avc("6", 4_177_920, 139_264, 240_000),
    avc("6.1", 8_355_840, 139_264, 480_000),
    avc("6.2", 16_711_680, 139_264, 800_000),
];

const HEVC: &[Level] = &[
    hevc("1", 36_864, 552_960, 128),
    hevc("2", 122_880, 3_686_400, 1500),
    hevc("2.1", 245_760, 7_372_800, 3000),
    hevc("3", 552_960, 16_588_800, 6000),
    hevc("3.1", 983_040, 33_177_600, 10_000),
    hevc("4", 2_228_224, 66_846_720, 12_000),
    hevc("4.1", 2_228_224, 133_693_440, 20_000),
    hevc("5", 8_912_896, 267_386_880, 25_000),
    hevc("5.1", 8_912_896, 534_773_760, 40_000),
    hevc("5.2", 8_912_896, 1_069_547_520, 60_000),
    hevc("6", 35_651_584, 1_069_547_520, 60_000),
    hevc("6.1", 35_651_584, 2_139_095_040, 120_000),
    hevc("6.2", 35_651_584, 4_278_190_080, 240_000),
];

/// Levels of a codec, the lowest first; empty where none can be chosen.
pub(crate) fn levels(codec: VideoCodec) -> &'static [Level] {
    match codec {
        VideoCodec::H264 => AVC,
        VideoCodec::H265 => HEVC,
        _ => &[],
    }
}
