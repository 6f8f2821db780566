//! MPEG-2 transport streams cut into segments: each begins with its tables and counts its packets anew (and says so), so that the same
//! packets give the same bytes, whoever wrote the segment before.

mod packets;
mod tables;
mod units;

use std::io::{self, Write};

use self::packets::Writer;
use super::fmp4::Part;

/// Stamps begin at ten seconds, so that decoding times before the first picture are not negative.
pub const START_90K: i64 = 900_000;

/// Writes one segment. `index`: its number, from 0.
pub fn write(into: &mut impl Write, index: i64, parts: &[Part]) -> io::Result<()> {
    let mut units: Vec<units::Unit> = Vec::new();
    for (stream, part) in parts.iter().enumerate() {
        units.extend(units::of(stream, part));
    }
    units.sort_by_key(|unit| unit.dts);
    let clock = parts.iter().position(|part| !part.packets.is_empty()).unwrap_or(0);
    let mut writer = Writer::new(into, parts.len(), tables::pid(clock));
    writer.table(tables::PAT_PID, index, &tables::programmes())?;
    writer.table(tables::PMT_PID, index, &tables::programme(parts, clock))?;
    for unit in &units {
        let Some(part) = parts.get(unit.stream) else { continue };
        writer.keep_time(unit.dts)?;
        writer.unit(unit, &units::packetized(unit, part)?, unit.stream == clock)?;
    }
    Ok(())
}
