//! Scraping over a real socket on a clock that stands still.

mod page;
mod reload;
mod world;
