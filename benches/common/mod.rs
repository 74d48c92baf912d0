//! What the benches share: keys and values that can be told apart, and whether this run measures or only checks.
//! Never measures anything itself.

/// The server's allocator: the layout of entries is made for its size classes.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

pub const KEY_BYTES: usize = 12;
pub const VALUE_BYTES: usize = 64;

/// `measured` under `cargo bench`, which passes `--bench`; `checked` under `cargo test --benches`, which has no time for it.
pub fn sized(measured: usize, checked: usize) -> usize {
    let is_given = |flag| std::env::args().any(|argument| argument == flag);
    if is_given("--bench") && !is_given("--test") { measured } else { checked }
}

/// Key number `n`.
pub fn key(n: usize) -> [u8; KEY_BYTES] {
    digits_after(b"key:", n)
}

/// The value of key number `n`: no other key has it, and it is no number, which would be stored as one.
pub fn value(n: usize) -> [u8; VALUE_BYTES] {
    digits_after(b"value:", n)
}

/// `prefix`, then `n` in decimal, with zeros in front, up to the last byte.
fn digits_after<const LENGTH: usize>(prefix: &[u8], n: usize) -> [u8; LENGTH] {
    let mut text = [b'0'; LENGTH];
    text[..prefix.len()].copy_from_slice(prefix);
    let mut rest = n;
    for digit in text[prefix.len()..].iter_mut().rev() {
        *digit = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    assert_eq!(rest, 0, "the number has more digits than there is room for");
    text
}
