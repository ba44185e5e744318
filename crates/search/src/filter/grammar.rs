//! Grammar of filters as text.
//!
//! ```text
//! or         = and (OR and)*
//! and        = not (AND not)*
//! not        = NOT not | "(" or ")" | TRUE | FALSE | key comparison
//! comparison = operator value | [NOT] IN "(" value ("," value)* ")" | [NOT] BETWEEN value AND value | [NOT] LIKE text
//!            | IS [NOT] NULL
//! ```

use super::{Filter, MAX_DEPTH, one_type};
use crate::{Error, Result};
use selvedge_index::Value;
use winnow::ascii::{Caseless, multispace0};
use winnow::combinator::{alt, cut_err, delimited, fail, not, opt, peek, preceded, repeat, separated, terminated};
use winnow::error::{ContextError, ErrMode};
use winnow::prelude::*;
use winnow::stream::Stateful;
use winnow::token::{one_of, take_till, take_while};

/// Words that are no keys, unless they are quoted.
pub(super) const WORDS: [&str; 10] = ["AND", "OR", "NOT", "IN", "BETWEEN", "LIKE", "IS", "NULL", "TRUE", "FALSE"];

/// Text to parse, and the number of levels that may still be nested.
type Input<'a> = Stateful<&'a str, usize>;

/// Outcome of a parser. An error says what was expected.
type Parsed<T> = winnow::ModalResult<T, ContextError<&'static str>>;

/// Number of characters of the text at a mistake that an error shows.
const SHOWN_CHARS: usize = 20;

const VALUE: &str = "a value: a number, a 'text' in single quotes, TRUE or FALSE";

/// Parses a filter.
pub(super) fn parse(text: &str) -> Result<Filter> {
    let input = Stateful { input: text, state: MAX_DEPTH };
    preceded(multispace0, or).parse(input).map_err(|error| {
        let (before, rest) = text.split_at(error.offset());
        let expected = error.inner().context().next().copied().unwrap_or("AND, OR or the end");
        let found: String = rest.chars().take(SHOWN_CHARS).collect();
        Error::FilterSyntax { column: before.chars().count() + 1, expected, found }
    })
}

fn or(input: &mut Input<'_>) -> Parsed<Filter> {
    joined(and, "OR", Filter::Or).parse_next(input)
}

fn and(input: &mut Input<'_>) -> Parsed<Filter> {
    joined(negated, "AND", Filter::And).parse_next(input)
}

/// One part, or several with a word between.
fn joined<'a>(
    part: fn(&mut Input<'a>) -> Parsed<Filter>,
    between: &'static str,
    join: fn(Vec<Filter>) -> Filter,
) -> impl Parser<Input<'a>, Filter, ErrMode<ContextError<&'static str>>> {
    move |input: &mut Input<'a>| {
        let first = part(input)?;
        let rest: Vec<Filter> = repeat(0.., preceded(word(between), cut_err(part))).parse_next(input)?;
        if rest.is_empty() {
            return Ok(first);
        }
        Ok(join(std::iter::once(first).chain(rest).collect()))
    }
}

fn negated(input: &mut Input<'_>) -> Parsed<Filter> {
    alt((
        preceded(word("NOT"), nested(negated)).map(|filter| !filter),
        delimited(symbol("("), nested(or), cut_err(symbol(")")).context("AND, OR or )")),
        word("TRUE").value(Filter::And(Vec::new())),
        word("FALSE").value(Filter::Or(Vec::new())),
        condition,
    ))
    .context("a key, NOT or (")
    .parse_next(input)
}

/// A part that is one level deeper.
fn nested<'a>(
    part: fn(&mut Input<'a>) -> Parsed<Filter>,
) -> impl Parser<Input<'a>, Filter, ErrMode<ContextError<&'static str>>> {
    move |input: &mut Input<'a>| {
        if input.state == 0 {
            return cut_err(fail).context("at most 100 levels of NOT and parentheses").parse_next(input);
        }
        input.state -= 1;
        let filter = cut_err(part).parse_next(input);
        input.state += 1;
        filter
    }
}

/// A key and what it is compared with.
fn condition(input: &mut Input<'_>) -> Parsed<Filter> {
    let key = key(input)?;
    let compared = alt((operation, null, list)).context("=, !=, <, <=, >, >=, IN, BETWEEN, LIKE or IS");
    Ok(cut_err(compared).parse_next(input)?(key))
}

/// Makes a condition of its key.
type OfKey = Box<dyn FnOnce(String) -> Filter>;

fn operation(input: &mut Input<'_>) -> Parsed<OfKey> {
    type Make = fn(String, Value) -> Filter;
    let make = alt((
        symbol("<=").value(Filter::Le as Make),
        symbol(">=").value(Filter::Ge as Make),
        symbol("<>").value(Filter::Ne as Make),
        symbol("!=").value(Filter::Ne as Make),
        symbol("==").value(Filter::Eq as Make),
        symbol("=").value(Filter::Eq as Make),
        symbol("<").value(Filter::Lt as Make),
        symbol(">").value(Filter::Gt as Make),
    ))
    .parse_next(input)?;
    let value = cut_err(value).parse_next(input)?;
    Ok(Box::new(move |key| make(key, value)))
}

fn null(input: &mut Input<'_>) -> Parsed<OfKey> {
    let rest = (opt(word("NOT")), word("NULL")).context("NULL or NOT NULL");
    let (negation, _) = preceded(word("IS"), cut_err(rest)).parse_next(input)?;
    Ok(Box::new(move |key| negated_if(negation.is_some(), Filter::Null(key))))
}

fn list(input: &mut Input<'_>) -> Parsed<OfKey> {
    let negation = opt(word("NOT")).parse_next(input)?;
    let make = alt((is_in, between, like));
    let make = match negation {
        Some(_) => cut_err(make.context("IN, BETWEEN or LIKE")).parse_next(input)?,
        None => { make }.parse_next(input)?,
    };
    Ok(Box::new(move |key| negated_if(negation.is_some(), make(key))))
}

fn is_in(input: &mut Input<'_>) -> Parsed<OfKey> {
    let values = separated(1.., cut_err(value), symbol(","));
    let values = delimited(symbol("(").context("("), values, symbol(")").context(", or )"));
    let values = values.verify(|values: &Vec<Value>| one_type(&values.iter().collect::<Vec<_>>()).is_none());
    let values = preceded(word("IN"), cut_err(values.context("values of one type"))).parse_next(input)?;
    Ok(Box::new(move |key| Filter::In(key, values)))
}

fn between(input: &mut Input<'_>) -> Parsed<OfKey> {
    let ends = (terminated(value, word("AND").context("AND")), value);
    let ends = ends.verify(|(low, high): &(Value, Value)| low.value_type() == high.value_type());
    let (low, high) = preceded(word("BETWEEN"), cut_err(ends.context("values of one type"))).parse_next(input)?;
    Ok(Box::new(move |key| Filter::Between(key, low, high)))
}

fn like(input: &mut Input<'_>) -> Parsed<OfKey> {
    let pattern = quoted('\'').context("a 'pattern' in single quotes");
    let pattern = preceded(word("LIKE"), cut_err(pattern)).parse_next(input)?;
    Ok(Box::new(move |key| Filter::Like(key, pattern)))
}

fn negated_if(is_negated: bool, filter: Filter) -> Filter {
    if is_negated { !filter } else { filter }
}

fn value(input: &mut Input<'_>) -> Parsed<Value> {
    if peek(opt(word("NULL"))).parse_next(input)?.is_some() {
        return cut_err(fail).context("a value; passages without one are found by IS NULL").parse_next(input);
    }
    alt((
        quoted('\'').map(Value::from),
        number,
        word("TRUE").value(Value::Bool(true)),
        word("FALSE").value(Value::Bool(false)),
    ))
    .context(VALUE)
    .parse_next(input)
}

fn number(input: &mut Input<'_>) -> Parsed<Value> {
    let is_number = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '+' | '-' | '_');
    let digits = (one_of(|c: char| c.is_ascii_digit() || matches!(c, '-' | '+' | '.')), take_while(0.., is_number));
    let number = digits.take().verify_map(|text: &str| match text.parse::<i64>() {
        Ok(integer) => Some(Value::from(integer)),
        Err(_) => text.parse().ok().filter(|number: &f64| number.is_finite()).map(Value::from),
    });
    terminated(number, multispace0).parse_next(input)
}

fn key(input: &mut Input<'_>) -> Parsed<String> {
    let name = alt((quoted('"'), terminated(bare.map(str::to_owned), multispace0)));
    let names: Vec<String> = separated(1.., name, symbol(".")).parse_next(input)?;
    Ok(names.join("."))
}

fn bare<'a>(input: &mut Input<'a>) -> Parsed<&'a str> {
    let name = (one_of(starts_name), take_while(0.., continues_name)).take();
    name.verify(|name: &str| !WORDS.iter().any(|word| word.eq_ignore_ascii_case(name))).parse_next(input)
}

/// Whether a name without quotes may begin with a character.
pub(super) fn starts_name(c: char) -> bool {
    c.is_alphabetic() || c == '_'
}

/// Whether a name without quotes may go on with a character.
pub(super) fn continues_name(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '-')
}

/// A text in quotes, which are doubled within it.
fn quoted<'a>(quote: char) -> impl Parser<Input<'a>, String, ErrMode<ContextError<&'static str>>> {
    move |input: &mut Input<'a>| {
        let doubled = (quote, quote).value(()).take().map(move |_| if quote == '"' { "\"" } else { "'" });
        let parts = repeat(0.., alt((take_till(1.., quote), doubled))).fold(String::new, |text, part| text + part);
        terminated(delimited(quote, parts, cut_err(quote).context("the quote at the end of a text")), multispace0)
            .parse_next(input)
    }
}

fn word<'a>(word: &'static str) -> impl Parser<Input<'a>, (), ErrMode<ContextError<&'static str>>> {
    terminated((Caseless(word), not(one_of(continues_name))), multispace0).void()
}

fn symbol<'a>(symbol: &'static str) -> impl Parser<Input<'a>, (), ErrMode<ContextError<&'static str>>> {
    terminated(symbol, multispace0).void()
}
