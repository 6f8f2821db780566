//! Parsers of bytes, without GStreamer: pure, bounded, and without a panic on whatever the bytes say.

pub mod av1;
pub mod bits;
pub mod captions;
pub mod colours;
pub mod crc;
pub mod dolby_vision;
pub mod dv;
pub mod exif;
pub mod flac;
pub mod gapless;
pub mod h264;
pub mod h265;
pub mod lengths;
pub mod matroska;
pub mod matroska_shape;
pub mod mp3;
pub mod nal;
pub mod numbers;
pub mod pictures;
pub mod psi;
pub mod sample_entry;
pub mod sample_table;
pub mod shown;
pub mod transport;
pub mod vp9;
pub mod webp;
