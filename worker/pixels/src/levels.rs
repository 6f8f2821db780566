//! From the full range of codes to the limited one (ITU-T H.273, table 4).

/// What a value of a pixel is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Luma,
    Chroma,
    /// Stays as it is, as alpha does.
    Other,
}

/// Tables from code to code.
#[derive(Debug, Clone)]
pub struct Levels {
    luma: Vec<u16>,
    chroma: Vec<u16>,
}

impl Levels {
    /// For codes of 8 to 16 bits.
    pub fn limited(bits: u32) -> Self {
        let unit = 1i64 << (bits.clamp(8, 16) - 8);
        let most = 256 * unit - 1;
        let rounded = |steps: i64, of: i64| (2 * steps * of + most).div_euclid(2 * most);
        let table = |code: &dyn Fn(i64) -> i64| (0..=most).map(|value| code(value) as u16).collect();
        Self {
            luma: table(&|code| 16 * unit + rounded(219 * unit, code)),
            chroma: table(&|code| 128 * unit + rounded(224 * unit, code - 128 * unit)),
        }
    }

    /// Converts a line in place. `kinds`: of the values of a pixel; `bytes`: of a value, 1 or 2 (little-endian).
    pub fn convert(&self, line: &mut [u8], kinds: &[Kind], bytes: usize) {
        match (kinds, bytes) {
            ([Kind::Luma], 1) => convert_bytes(line, &self.luma),
            ([Kind::Chroma] | [Kind::Chroma, Kind::Chroma], 1) => convert_bytes(line, &self.chroma),
            _ => self.convert_mixed(line, kinds, bytes),
        }
    }

    fn convert_mixed(&self, line: &mut [u8], kinds: &[Kind], bytes: usize) {
        for (place, kind) in line.chunks_exact_mut(bytes.max(1)).zip(kinds.iter().cycle()) {
            let table = match kind {
                Kind::Luma => &self.luma,
                Kind::Chroma => &self.chroma,
                Kind::Other => continue,
            };
            match place {
                [low, high] => {
                    let code = u16::from_le_bytes([*low, *high]);
                    let code = table.get(usize::from(code)).or(table.last()).copied();
                    [*low, *high] = code.unwrap_or_default().to_le_bytes();
                }
                [only] => *only = table.get(usize::from(*only)).map_or(0, |code| *code as u8),
                _ => {}
            }
        }
    }
}

fn convert_bytes(line: &mut [u8], table: &[u16]) {
    let mut narrow = [0u8; 256];
    for (place, code) in narrow.iter_mut().zip(table) {
        *place = *code as u8;
    }
    for value in line {
        *value = narrow[usize::from(*value)];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ends_and_the_middle_are_those_of_the_standard() {
        let levels = Levels::limited(8);
        let mut line = [0, 255, 128, 1];
        levels.convert(&mut line, &[Kind::Luma], 1);
        assert_eq!(line, [16, 235, 126, 17]);
        let mut line = [0, 128, 255];
        levels.convert(&mut line, &[Kind::Chroma], 1);
        assert_eq!(line, [16, 128, 240]);
        let mut line = [1023u16, 512, 1023, 0, 512, 7].map(u16::to_le_bytes).concat();
        Levels::limited(10).convert(&mut line, &[Kind::Luma, Kind::Chroma, Kind::Other], 2);
        assert_eq!(line, [940u16, 512, 1023, 64, 512, 7].map(u16::to_le_bytes).concat());
    }

    #[test]
    fn codes_behind_the_table_end_at_its_last() {
        let mut line = 4000u16.to_le_bytes();
        Levels::limited(10).convert(&mut line, &[Kind::Luma], 2);
        assert_eq!(u16::from_le_bytes(line), 940);
    }
}
