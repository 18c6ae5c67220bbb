//! Machine code for a GPU -> its kernels, read from the ELF file that it comes in.

/// A kernel in it.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Kernel {
    pub name: String,
    /// Registers of a thread.
    pub registers: u32,
    /// Bytes of code.
    pub code: u64,
    /// Bytes of a thread's memory that stand in for registers.
    pub spilled: u64,
}

/// `.text.NAME` is a kernel's code; `.nv.info` says of each symbol how many registers (attribute 0x2f) and how much stack (0x11) it takes.
pub fn kernels(elf: &[u8]) -> Vec<Kernel> {
    assert!(elf.starts_with(b"\x7fELF\x02\x01"), "no ELF file of 64 bits");
    let u16_at = |at: u64| u64::from(u16::from_le_bytes(elf[at as usize..][..2].try_into().expect("two bytes")));
    let u32_at = |at: u64| u64::from(u32::from_le_bytes(elf[at as usize..][..4].try_into().expect("four bytes")));
    let u64_at = |at: u64| u64::from_le_bytes(elf[at as usize..][..8].try_into().expect("eight bytes"));
    let text_at = |at: u64| {
        let bytes = &elf[at as usize..];
        let end = bytes.iter().position(|b| *b == 0).expect("a text ends");
        String::from_utf8_lossy(&bytes[..end]).into_owned()
    };
    let (table, size, count) = (u64_at(0x28), u16_at(0x3a), u16_at(0x3c));
    let names = u64_at(table + u16_at(0x3e) * size + 0x18);
    let sections: Vec<(String, u64, u64)> = (0..count)
        .map(|i| table + i * size)
        .map(|head| (text_at(names + u32_at(head)), u64_at(head + 0x18), u64_at(head + 0x20)))
        .collect();
    let section = |name: &str| sections.iter().find(|s| s.0 == name).map(|s| (s.1, s.2)).expect("the section is there");
    let (symbols, texts, info) = (section(".symtab").0, section(".strtab").0, section(".nv.info"));
    let name_of = |symbol: u64| text_at(texts + u32_at(symbols + symbol * 24));
    // Entries of four bytes (format, attribute, length of what follows); only format 4 has something following.
    let attribute = |wanted: u8, name: &str| {
        let mut at = info.0;
        while at < info.0 + info.1 {
            let (format, attribute, length) = (elf[at as usize], elf[at as usize + 1], u16_at(at + 2));
            if format == 4 && attribute == wanted && name_of(u32_at(at + 4)) == name {
                return u32_at(at + 8);
            }
            at += 4 + if format == 4 { length } else { 0 };
        }
        panic!("`{name}` has no attribute {wanted:#x}")
    };
    let mut found: Vec<Kernel> = sections
        .iter()
        .filter_map(|(name, _, code)| Some((name.strip_prefix(".text.")?, *code)))
        .map(|(name, code)| Kernel {
            name: name.to_owned(),
            registers: attribute(0x2f, name) as u32,
            spilled: attribute(0x11, name),
            code,
        })
        .collect();
    found.sort();
    found
}
