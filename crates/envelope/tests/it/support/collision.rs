//! One GCM ciphertext that opens under two keys: GCM's tag is a polynomial in the ciphertext, so a block can be solved
//! for that makes two keys agree. Only the key commitment tells the two apart.

use aes::Aes256;
use aes::cipher::{BlockCipherEncrypt, KeyInit};

/// 32 bytes of ciphertext and a tag that AES-256-GCM accepts under both keys.
pub(crate) fn under_two_keys(keys: [&[u8; 32]; 2], nonce: &[u8], aad: &[u8], first_block: [u8; 16]) -> Vec<u8> {
    let hash_keys = keys.map(|key| encrypt(key, [0; 16]));
    let masks = keys.map(|key| encrypt(key, [nonce, &[0, 0, 0, 1]].concat().try_into().unwrap()));
    let lengths = ((aad.len() as u128 * 8) << 64) | 256;

    // tag = GHASH(aad, first, x, lengths) + mask; the part without x, for each key:
    let known = [0, 1].map(|i| {
        let mut sum = 0;
        for block in aad.chunks(16) {
            let mut padded = [0; 16];
            padded[..block.len()].copy_from_slice(block);
            sum = multiply(sum ^ u128::from_be_bytes(padded), hash_keys[i]);
        }
        sum = multiply(sum ^ u128::from_be_bytes(first_block), hash_keys[i]);
        sum = multiply(sum, hash_keys[i]); // x = 0 stands here
        multiply(sum ^ lengths, hash_keys[i]) ^ masks[i]
    });
    // x stands two multiplications from the end: x·(H₀² + H₁²) = the difference of the known parts.
    let squares = hash_keys.map(|h| multiply(h, h));
    let x = multiply(known[0] ^ known[1], inverse(squares[0] ^ squares[1]));
    let tag = known[0] ^ multiply(x, squares[0]);
    [first_block, x.to_be_bytes(), tag.to_be_bytes()].concat()
}

fn encrypt(key: &[u8; 32], block: [u8; 16]) -> u128 {
    let mut block = block.into();
    Aes256::new(key.into()).encrypt_block(&mut block);
    u128::from_be_bytes(block.into())
}

/// GCM's multiplication (SP 800-38D, 6.3): the leftmost bit is the coefficient of 1.
fn multiply(x: u128, y: u128) -> u128 {
    let (mut product, mut v) = (0, y);
    for bit in (0..128).rev() {
        if x >> bit & 1 == 1 {
            product ^= v;
        }
        v = if v & 1 == 1 { (v >> 1) ^ (0xe1 << 120) } else { v >> 1 };
    }
    product
}

/// x^(2¹²⁸ − 2), which is 1/x.
fn inverse(x: u128) -> u128 {
    let (mut power, mut product) = (x, 1 << 127);
    for _ in 1..128 {
        power = multiply(power, power);
        product = multiply(product, power);
    }
    product
}
