//! stub
/// x
pub const DEPTH_MAX: usize = 1000;
/// x
pub struct ParseOptions {
    /// x
    pub experimental_functions: bool,
}
/// x
pub fn parse(_q: &str, _o: &ParseOptions) -> Result<crate::Expr, ()> {
    Err(())
}
