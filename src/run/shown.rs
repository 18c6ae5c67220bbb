//! A run → what a page shows of it, be it a page of the service or a file: the picture of its data flow, its timeline, its steps and their
//! calls. Here is how these look; who may see what, and where links lead, is for whoever makes the page.

pub mod dag;
pub mod look;
pub mod steps;
pub mod story;
pub mod timeline;

/// How it all looks: one sheet for all pages.
pub const STYLE: &str = include_str!("shown/style.css");
