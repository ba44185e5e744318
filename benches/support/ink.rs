//! Color of the text and axes of plots.

/// Grey that is legible on white and on dark pages alike; grid lines are the same with opacity.
pub const INK: &str = "#7a7a7a";
