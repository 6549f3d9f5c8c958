//! Just enough of BMP to say whether a label is black. Everything else that is decoded is decoded
//! elsewhere; here a label's content decides whether its image is normal.

/// Whether a pixel of an uncompressed BMP is not black; `None` if the bytes are no such file.
pub(crate) fn has_light(bytes: &[u8]) -> Option<bool> {
    let u16_at = |at: usize| Some(u16::from_le_bytes(bytes.get(at..at + 2)?.try_into().ok()?));
    let u32_at = |at: usize| Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?));
    if bytes.get(..2)? != b"BM" {
        return None;
    }
    let (pixels, header) = (u32_at(10)? as usize, u32_at(14)? as usize);
    let (width, height) = (u32_at(18)? as usize, u32_at(22)? as i32); // negative: rows from the top
    let (bits, compression) = (usize::from(u16_at(28)?), u32_at(30)?);
    if header < 40 || compression != 0 || !matches!(bits, 1 | 4 | 8 | 24 | 32) {
        return None;
    }
    let row = width.checked_mul(bits)?.div_ceil(32) * 4;
    let rows = height.unsigned_abs() as usize;
    let data = bytes.get(pixels..pixels.checked_add(row.checked_mul(rows)?)?)?;
    if row == 0 || rows == 0 {
        return None;
    }
    let palette = bytes.get(14 + header..pixels)?;
    let is_light = |colour: &[u8]| colour.iter().any(|value| *value > 0);
    for line in data.chunks_exact(row) {
        let light = match bits {
            24 => is_light(&line[..width * 3]),
            32 => line[..width * 4].chunks_exact(4).any(|p| is_light(&p[..3])),
            bits => {
                let each = 8 / bits;
                let mut light = false;
                for x in 0..width {
                    let shift = 8 - bits - (x % each) * bits;
                    let index = usize::from(line[x / each] >> shift) & ((1 << bits) - 1);
                    light |= is_light(palette.get(index * 4..index * 4 + 3)?);
                }
                light
            }
        };
        if light {
            return Some(true);
        }
    }
    Some(false)
}
