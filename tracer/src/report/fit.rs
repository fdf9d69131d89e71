//! Cutting text to the columns of a terminal.

const GAP: &str = "...";

/// Columns a text takes. Wide scripts begin at Hangul; a few narrow characters above are given two columns as well,
/// so a text never takes more than this.
pub(crate) fn columns(text: &str) -> usize {
    text.chars().map(width).sum()
}

/// The text with its middle left out: of a long qualified name both ends say something.
pub(crate) fn cut_middle(text: &str, room: usize) -> String {
    if columns(text) <= room {
        return text.to_owned();
    }
    let rest = room.saturating_sub(GAP.len());
    let head = take(text.chars(), rest / 3);
    let tail: String = take(text.chars().rev(), rest - columns(&head)).chars().rev().collect();
    format!("{head}{GAP}{tail}")
}

/// The text with its beginning left out: the end of a path says most.
pub(crate) fn cut_start(text: &str, room: usize) -> String {
    if columns(text) <= room {
        return text.to_owned();
    }
    let tail: String = take(text.chars().rev(), room.saturating_sub(GAP.len())).chars().rev().collect();
    format!("{GAP}{tail}")
}

fn take(chars: impl Iterator<Item = char>, room: usize) -> String {
    let mut used = 0;
    chars
        .take_while(|&c| {
            used += width(c);
            used <= room
        })
        .collect()
}

fn width(c: char) -> usize {
    if u32::from(c) < 0x1100 { 1 } else { 2 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fits_stays() {
        assert_eq!(cut_middle("Order.total", 11), "Order.total");
        assert_eq!(cut_start("orders.py:12", 12), "orders.py:12");
    }

    #[test]
    fn what_does_not_fit_is_cut_to_its_room() {
        assert_eq!(cut_middle("create_app.<locals>.handler", 15), "crea....handler");
        assert_eq!(cut_start("/srv/shop/handlers/cart.py:120", 14), "...cart.py:120");
        assert_eq!(cut_middle("長い名前の関数です", 10), "長...です");
    }
}
