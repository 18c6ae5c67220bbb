//! Pieces → HTML. Whatever is put into a template is text and is escaped, unless it is [`Markup`], which is finished: forgetting is no option.

use crate::html::escaped;
use std::fmt::{self, Display};

/// HTML that is finished: the texts in it have been escaped.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Markup(String);

impl Markup {
    /// HTML that somebody else has made, and has escaped the texts in: the picture of a plan, say.
    pub fn finished(html: String) -> Markup {
        Markup(html)
    }

    /// As a text.
    pub fn into_string(self) -> String {
        self.0
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Appends what a template makes; [`html_to!`](crate::html_to) calls it.
    pub fn add(&mut self, made: fmt::Arguments<'_>) {
        // Writing to a text cannot fail.
        let _ = fmt::Write::write_fmt(&mut self.0, made);
    }
}

impl FromIterator<Markup> for Markup {
    fn from_iter<T: IntoIterator<Item = Markup>>(all: T) -> Markup {
        Markup(all.into_iter().map(|one| one.0).collect())
    }
}

/// What can stand in a template.
pub trait Piece {
    /// Writes it, safe in elements and in attributes.
    fn put(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result;
}

impl Piece for Markup {
    fn put(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Piece for str {
    fn put(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&escaped(self))
    }
}

impl Piece for String {
    fn put(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_str().put(f)
    }
}

macro_rules! numbers {
    ($($number:ty),*) => {
        $(impl Piece for $number {
            fn put(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                Display::fmt(self, f)
            }
        })*
    };
}

numbers!(u8, u32, u64, usize, i64, f64);

impl<P: Piece + ?Sized> Piece for &P {
    fn put(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (*self).put(f)
    }
}

impl<P: Piece> Piece for Option<P> {
    fn put(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.iter().try_for_each(|piece| piece.put(f))
    }
}

/// A piece, for `format_args!`.
pub struct Put<'p, P: Piece + ?Sized>(pub &'p P);

impl<P: Piece + ?Sized> Display for Put<'_, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.put(f)
    }
}

/// Appends a template with its pieces to a [`Markup`].
#[macro_export]
macro_rules! html_to {
    ($out:expr, $template:literal $(, $piece:expr)* $(,)?) => {
        $out.add(format_args!($template $(, $crate::html::markup::Put(&$piece))*))
    };
}

/// The same, as a [`Markup`] of its own.
#[macro_export]
macro_rules! html {
    ($template:literal $(, $piece:expr)* $(,)?) => {{
        let mut made = $crate::html::markup::Markup::default();
        $crate::html_to!(made, $template $(, $piece)*);
        made
    }};
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_text_and_markup_is_markup() {
        let hostile = "<script>alert('1')</script>\"&";
        let made = html!(
            "<p title=\"{}\">{}{}{}</p>",
            hostile,
            hostile.to_owned(),
            Some(html!("<b>{}</b>", 3_u64)),
            None::<Markup>
        );
        let safe = "&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt;&quot;&amp;";
        assert_eq!(made.into_string(), format!("<p title=\"{safe}\">{safe}<b>3</b></p>"));
    }
}
