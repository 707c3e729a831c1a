//! The vDSO of a process: where it lies, and where its clock functions begin.
//!
//! It is an ELF image in the process's own memory, and like all that a process says of itself it may be
//! anything: every number in it is checked before it is used. Symbols are found by the dynamic section, as a
//! loader finds them; section headers need not be mapped.

use std::ops::Range;

/// One function of a vDSO.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Function {
    /// Its name.
    pub name: &'static str,
    /// Where it begins, in the process's memory.
    pub at: u64,
    /// How many bytes it takes.
    pub length: u64,
}

/// Why a vDSO is not understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ImageError {
    /// It is none, or cut short.
    #[error("its vDSO is no ELF image of 64 bits (a program of 32 bits?)")]
    Format,
    /// It is for another processor.
    #[error("its vDSO is for another processor (ELF machine {0})")]
    Machine(u16),
    /// It lacks what is looked for.
    #[error("its vDSO has no {0}")]
    Missing(&'static str),
}

/// The addresses of the vDSO, by the text of a `maps` file.
pub fn range(maps: &str) -> Option<Range<u64>> {
    let line = maps.lines().find(|line| line.ends_with("[vdso]"))?;
    let (begin, end) = line.split_whitespace().next()?.split_once('-')?;
    let range = u64::from_str_radix(begin, 16).ok()?..u64::from_str_radix(end, 16).ok()?;
    (range.start < range.end && range.end - range.start <= SIZE_MAX).then_some(range)
}

/// Larger than any vDSO.
const SIZE_MAX: u64 = 1 << 20;
const DYNAMIC: u32 = 2;
const LOAD: u32 = 1;
const STRTAB: u64 = 5;
const SYMTAB: u64 = 6;
const SYMBOL: usize = 24;
const FUNCTION: u8 = 2;

/// A vDSO as it lies in a process's memory.
#[derive(Clone, Copy, Debug)]
pub struct Image<'a> {
    bytes: &'a [u8],
    /// Where it begins.
    at: u64,
    /// What its addresses are counted from.
    origin: u64,
}

impl<'a> Image<'a> {
    /// Reads the head of an image that begins at `at`, for this ELF machine.
    pub fn new(bytes: &'a [u8], at: u64, machine: u16) -> Result<Image<'a>, ImageError> {
        let mut image = Image { bytes, at, origin: 0 };
        if !bytes.starts_with(b"\x7fELF\x02\x01") {
            return Err(ImageError::Format);
        }
        let found = image.u16(18).ok_or(ImageError::Format)?;
        if found != machine {
            return Err(ImageError::Machine(found));
        }
        let load = image.segment(LOAD).ok_or(ImageError::Format)?;
        let (offset, address) = image.u64(load + 8).zip(image.u64(load + 16)).ok_or(ImageError::Format)?;
        image.origin = address.wrapping_sub(offset);
        Ok(image)
    }

    /// The functions of these names, each that is there.
    pub fn functions(&self, names: &[&'static str]) -> Vec<Function> {
        let Some(symbols) = self.table(SYMTAB) else { return vec![] };
        let Some(texts) = self.table(STRTAB) else { return vec![] };
        // The table does not tell its length; where its texts follow it ends there. What is no symbol bears
        // no name that anybody asks for.
        let end = if symbols < texts { texts.min(self.bytes.len()) } else { self.bytes.len() };
        let mut found = vec![];
        for symbol in (symbols..end).step_by(SYMBOL) {
            let Some(name) = self.u32(symbol).and_then(|name| self.text(texts.checked_add(name as usize)?))
            else {
                continue;
            };
            if let Some(name) = names.iter().find(|known| known.as_bytes() == name)
                && let Some(function) = self.function(name, symbol)
            {
                found.push(function);
            }
        }
        found
    }

    /// Where these bytes stand, at a multiple of their alignment.
    pub fn find(&self, bytes: &[u8], align: usize) -> Option<u64> {
        let places = (0..self.bytes.len()).step_by(align);
        let mut found = places.filter(|place| self.bytes[*place..].starts_with(bytes));
        found.next().map(|place| self.at + place as u64)
    }

    fn function(&self, name: &'static str, symbol: usize) -> Option<Function> {
        let is_function = self.bytes.get(symbol + 4)? & 0xf == FUNCTION;
        let place = self.u64(symbol + 8)?.wrapping_sub(self.origin);
        let length = self.u64(symbol + 16)?;
        let fits = place.checked_add(length)? <= self.bytes.len() as u64;
        (is_function && fits && place > 0).then(|| Function { name, at: self.at + place, length })
    }

    /// The place of the first program header of this kind.
    fn segment(&self, kind: u32) -> Option<usize> {
        let (first, size, count) = (self.u64(32)?, self.u16(54)?, self.u16(56)?);
        let places = (0..u64::from(count)).map(|i| first.checked_add(i * u64::from(size)));
        let mut places = places.map_while(|place| usize::try_from(place?).ok());
        places.find(|place| self.u32(*place) == Some(kind))
    }

    /// The place of what the dynamic section names so.
    fn table(&self, tag: u64) -> Option<usize> {
        let dynamic = self.segment(DYNAMIC)?;
        let first = usize::try_from(self.u64(dynamic + 8)?).ok()?;
        for entry in (first..self.bytes.len()).step_by(16) {
            match self.u64(entry)? {
                0 => return None,
                found if found == tag => {
                    return usize::try_from(self.u64(entry + 8)?.wrapping_sub(self.origin)).ok();
                }
                _ => {}
            }
        }
        None
    }

    fn text(&self, at: usize) -> Option<&'a [u8]> {
        self.bytes.get(at..)?.split(|byte| *byte == 0).next()
    }

    fn u16(&self, at: usize) -> Option<u16> {
        Some(u16::from_le_bytes(self.bytes.get(at..)?.first_chunk().copied()?))
    }

    fn u32(&self, at: usize) -> Option<u32> {
        Some(u32::from_le_bytes(self.bytes.get(at..)?.first_chunk().copied()?))
    }

    fn u64(&self, at: usize) -> Option<u64> {
        Some(u64::from_le_bytes(self.bytes.get(at..)?.first_chunk().copied()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use elenchus_core::random::Seed;

    const AT: u64 = 0x7fff_0000_0000;
    const ORIGIN: u64 = 0xffff_ffff_ff70_0000;
    const NAMES: &[&str] = &["__vdso_time", "__vdso_getcpu"];

    /// An image linked to addresses of its own, as those of old kernels are: two program headers, the dynamic
    /// section at 0x100, symbols at 0x200, their names right behind, code at 0x300.
    fn image() -> Vec<u8> {
        let mut bytes = vec![0; 0x400];
        let mut put = |at: usize, part: &[u8]| bytes[at..at + part.len()].copy_from_slice(part);
        put(0, b"\x7fELF\x02\x01\x01");
        put(18, &62_u16.to_le_bytes());
        put(32, &64_u64.to_le_bytes());
        put(54, &56_u16.to_le_bytes());
        put(56, &2_u16.to_le_bytes());
        put(64, &LOAD.to_le_bytes());
        put(64 + 16, &ORIGIN.to_le_bytes());
        put(120, &DYNAMIC.to_le_bytes());
        put(120 + 8, &0x100_u64.to_le_bytes());
        let entries = [SYMTAB, ORIGIN + 0x200, STRTAB, ORIGIN + 0x230, 0];
        entries.iter().enumerate().for_each(|(i, word)| put(0x100 + 8 * i, &word.to_le_bytes()));
        put(0x200 + 24, &1_u32.to_le_bytes());
        put(0x200 + 28, &[0x12]);
        put(0x200 + 32, &(ORIGIN + 0x300).to_le_bytes());
        put(0x200 + 40, &40_u64.to_le_bytes());
        put(0x230, b"\0__vdso_time\0");
        put(0x304, b"\x0f\x05");
        bytes
    }

    #[test]
    fn functions_are_found_wherever_the_image_lies() {
        let bytes = image();
        let image = Image::new(&bytes, AT, 62).unwrap();
        let time = Function { name: "__vdso_time", at: AT + 0x300, length: 40 };
        assert_eq!(image.functions(NAMES), [time]);
        assert_eq!(image.find(b"\x0f\x05", 1), Some(AT + 0x304));
        assert_eq!(image.find(b"\x0f\x05", 8), None);
    }

    #[test]
    fn images_of_others_are_refused() {
        assert_eq!(Image::new(b"", AT, 62).err(), Some(ImageError::Format));
        assert_eq!(Image::new(&image()[..70], AT, 62).err(), Some(ImageError::Format));
        assert_eq!(Image::new(&image(), AT, 183).err(), Some(ImageError::Machine(62)));
        let mut narrow = image();
        narrow[4] = 1;
        assert_eq!(Image::new(&narrow, AT, 62).err(), Some(ImageError::Format));
    }

    #[test]
    fn garbage_is_survived_and_yields_nothing_outside_the_image() {
        let mut rng = Seed(1).rng();
        for _ in 0..20_000 {
            let mut bytes = image();
            for _ in 0..rng.between(1, 12) {
                let at = rng.below(bytes.len() as u64) as usize;
                bytes[at] = rng.below(256) as u8;
            }
            bytes.truncate(rng.below(bytes.len() as u64 + 1) as usize);
            if let Ok(image) = Image::new(&bytes, AT, 62) {
                for function in image.functions(NAMES) {
                    assert!(function.at >= AT && function.at + function.length <= AT + bytes.len() as u64);
                }
            }
        }
    }

    #[test]
    fn the_range_is_read_from_a_map_of_memory() {
        let maps = "7ff0-8000 r--p 00000000 00:00 0    [vvar]\n\
                    7ffc8000-7ffca000 r-xp 00000000 00:00 0                          [vdso]\n";
        assert_eq!(range(maps), Some(0x7ffc_8000..0x7ffc_a000));
        for none in ["", "[vdso]", "x-y r-xp [vdso]", "9-8 r-xp [vdso]", "0-ffffffffffff r-xp [vdso]"] {
            assert_eq!(range(none), None, "{none}");
        }
    }

    #[test]
    #[cfg(all(target_os = "linux", target_arch = "x86_64"))]
    fn our_own_vdso_has_a_clock() {
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
        // Some sandboxes map none.
        let Some(range) = range(&maps) else { return };
        let mut bytes = vec![0; (range.end - range.start) as usize];
        let memory = std::fs::File::open("/proc/self/mem").unwrap();
        std::os::unix::fs::FileExt::read_exact_at(&memory, &mut bytes, range.start).unwrap();
        let found = Image::new(&bytes, range.start, 62).unwrap().functions(&["__vdso_clock_gettime"]);
        assert!(matches!(&found[..], [function] if function.length >= 16), "{found:?}");
    }
}
