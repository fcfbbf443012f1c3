//! Recorded bodies of real servers, changed at random.

use serde_json::Value;

/// A generator of pseudorandom numbers, the same for the same seed (splitmix64).
pub struct Dice(pub u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below a bound.
    pub fn below(&mut self, bound: usize) -> usize {
        (self.roll() % bound.max(1) as u64) as usize
    }

    /// One of several.
    pub fn one_of<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }
}

/// Placeholder in a tree for a text that no tree can hold.
const PLACE: &str = "a place for what comes";

/// A strange JSON text.
fn strange(dice: &mut Dice) -> String {
    match dice.below(16) {
        0 => "null".to_owned(),
        1 => "[]".to_owned(),
        2 => "{}".to_owned(),
        3 => "-1".to_owned(),
        4 => "18446744073709551615".to_owned(),
        5 => "1e999".to_owned(),
        6 => "9".repeat(1 + dice.below(5_000)),
        7 => "true".to_owned(),
        8 => {
            let depth = *dice.one_of(&[100, 126, 127, 128, 129, 10_000]);
            format!("{}{}", "[".repeat(depth), "]".repeat(depth))
        }
        9 => format!("{}1{}", r#"{"a":"#.repeat(127), "}".repeat(127)),
        10 => format!("\"{}\"", "x".repeat(*dice.one_of(&[65, 257, 2_049, 70_000, 600_000]))),
        11 => format!("\"{}\"", "<\u{2028}&é".repeat(dice.below(20_000))),
        12 => r#""\ud800""#.to_owned(),
        13 => r#""a\u0000\n\u001b[31m\u202e""#.to_owned(),
        14 => format!("[{}0]", "0,".repeat(dice.below(100_000))),
        _ => format!("\"{}h\"", "9".repeat(1 + dice.below(400))),
    }
}

/// The value at the wanted place in a tree.
fn places<'a>(value: &'a mut Value, at: &mut usize, wanted: usize) -> Option<&'a mut Value> {
    if *at == wanted {
        return Some(value);
    }
    *at += 1;
    match value {
        Value::Array(values) => values.iter_mut().find_map(|value| places(value, at, wanted)),
        Value::Object(members) => members.values_mut().find_map(|value| places(value, at, wanted)),
        _ => None,
    }
}

fn size(value: &Value) -> usize {
    match value {
        Value::Array(values) => 1 + values.iter().map(size).sum::<usize>(),
        Value::Object(members) => 1 + members.values().map(size).sum::<usize>(),
        _ => 1,
    }
}

/// A recorded body, changed at random.
pub fn body(dice: &mut Dice, seed: &Value) -> Vec<u8> {
    let mut tree = seed.clone();
    let mut fillings = Vec::new();
    for _ in 0..1 + dice.below(3) {
        let wanted = dice.below(size(&tree));
        if let Some(place) = places(&mut tree, &mut 0, wanted) {
            *place = Value::from(PLACE);
            fillings.push(strange(dice));
        }
    }
    let mut text = tree.to_string();
    for filling in fillings {
        text = text.replacen(&format!("\"{PLACE}\""), &filling, 1);
    }
    let mut bytes = match dice.below(8) {
        0 => seed.to_string().into_bytes(),
        1 => (0..dice.below(2_000)).map(|_| dice.roll() as u8).collect(),
        2 => format!("[{}{text}]", format!("{text},").repeat(dice.below(20))).into_bytes(),
        _ => text.into_bytes(),
    };
    match dice.below(6) {
        0 => bytes.truncate(dice.below(bytes.len() + 1)),
        1 => {
            for _ in 0..1 + dice.below(8) {
                let at = dice.below(bytes.len());
                if let Some(byte) = bytes.get_mut(at) {
                    *byte = dice.roll() as u8;
                }
            }
        }
        _ => {}
    }
    bytes
}
