//! Numbers of payment cards: digits in one run or in groups, with the right prefix, length and
//! check digit.

use super::Found;

/// The shortest and the longest number.
pub(super) const MIN_DIGITS: usize = 13;
const MAX_DIGITS: usize = 19;

/// Adds the card numbers of a text.
pub(super) fn find(text: &str, found: &mut Found) {
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        if !bytes[at].is_ascii_digit() {
            at += 1;
            continue;
        }
        let groups = groups(text, at);
        let end = groups.last().map_or(at + 1, |group| group.1);
        add_cards(bytes, &groups, found);
        at = end;
    }
}

/// The runs of digits from here on that one separator each stands between, as start and end.
fn groups(text: &str, start: usize) -> Vec<(usize, usize)> {
    let bytes = text.as_bytes();
    let mut groups = Vec::new();
    let mut at = start;
    loop {
        let digits = bytes[at..].iter().take_while(|byte| byte.is_ascii_digit());
        let end = at + digits.count();
        groups.push((at, end));
        let separator = text[end..].chars().next();
        let Some(separator) = separator.filter(|it| is_separator(*it)) else {
            return groups;
        };
        at = end + separator.len_utf8();
        if !bytes.get(at).is_some_and(u8::is_ascii_digit) {
            return groups;
        }
    }
}

fn is_separator(letter: char) -> bool {
    matches!(
        letter,
        ' ' | '-' | '.' | '+' | '_' | '\u{a0}' | '\u{2009}'..='\u{2015}' | '\u{202f}' | '\u{2212}'
    )
}

/// Adds each card that some groups after each other are, the longest from where it begins.
fn add_cards(bytes: &[u8], groups: &[(usize, usize)], found: &mut Found) {
    let mut first = 0;
    while first < groups.len() {
        let mut digits = Vec::with_capacity(MAX_DIGITS);
        let mut card = None;
        for (last, (start, end)) in groups.iter().enumerate().skip(first) {
            if digits.len() + (end - start) > MAX_DIGITS {
                break;
            }
            digits.extend(
                bytes[*start..*end]
                    .iter()
                    .map(|byte| u32::from(byte - b'0')),
            );
            // Digits behind a point alone are a number's.
            let is_decimal = last == first && *start > 0 && bytes[start - 1] == b'.';
            if is_card_number(&digits) && !is_decimal {
                card = Some(last);
            }
        }
        match card {
            Some(last) => {
                found.add(groups[first].0..groups[last].1);
                first = last + 1;
            }
            None => first += 1,
        }
    }
}

/// As long as the issuers make them, and with the right check digit (Luhn).
pub(super) fn is_card_number(digits: &[u32]) -> bool {
    if !(MIN_DIGITS..=MAX_DIGITS).contains(&digits.len()) {
        return false;
    }
    let prefix = digits.iter().take(4).fold(0, |sum, digit| sum * 10 + digit);
    let is_issued = match digits.len() {
        13 | 19 => prefix / 1000 == 4 || prefix / 100 == 62 || prefix / 1000 == 6,
        14 => matches!(prefix / 100, 30 | 36 | 38 | 39),
        15 => matches!(prefix / 100, 34 | 37),
        16 => matches!(prefix, 2221..=2720 | 3000..=6999),
        _ => false,
    };
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(position, digit)| match (position % 2, digit * 2) {
            (0, _) => *digit,
            (_, double) => double / 10 + double % 10,
        })
        .sum();
    is_issued && sum.is_multiple_of(10)
}
