//! How a filter is written.

use std::fmt;

use winnow::{
    ModalResult, Parser as _,
    ascii::{multispace0, multispace1},
    combinator::{alt, cut_err, delimited, not, opt, peek, preceded, repeat, terminated},
    error::{ContextError, StrContext, StrContextValue},
    token::{any, none_of, one_of, take_while},
};

use super::{Filter, FilterError, MAX_FILTER_CHARACTERS, Operator, comparison};

/// How deep parentheses may be nested: each level takes a part of the stack.
const MAX_DEPTH: usize = 32;

/// Reads a whole filter.
pub(super) fn parse(text: &str) -> Result<Filter, FilterError> {
    let refused = |problem: &str| FilterError { at: 1, problem: problem.to_owned() };
    if text.chars().count() > MAX_FILTER_CHARACTERS {
        return Err(refused("a filter is at most 2000 characters long"));
    }
    if depth(text) > MAX_DEPTH {
        return Err(refused("parentheses are nested at most 32 deep"));
    }
    let whole = delimited(multispace0, expression, multispace0);
    let end = not(any).context(expected("AND, OR or the end"));
    terminated(whole, cut_err(end)).parse(text).map_err(|error| {
        let before = text.get(..error.offset()).unwrap_or_default();
        FilterError { at: before.chars().count() + 1, problem: problem(error.inner()) }
    })
}

/// Parentheses within quotes count too, which only makes the bound tighter.
fn depth(text: &str) -> usize {
    let deepest = text.bytes().fold((0_usize, 0), |(open, deepest), byte| match byte {
        b'(' => (open + 1, deepest.max(open + 1)),
        b')' => (open.saturating_sub(1), deepest),
        _ => (open, deepest),
    });
    deepest.1
}

fn problem(error: &ContextError) -> String {
    if let Some(cause) = error.cause() {
        return cause.to_string();
    }
    let context = error.context().find_map(|context| match context {
        StrContext::Expected(StrContextValue::Description(what)) => Some(*what),
        _ => None,
    });
    format!("write {}", context.unwrap_or("a comparison such as plan = pro"))
}

fn expected(what: &'static str) -> StrContext {
    StrContext::Expected(StrContextValue::Description(what))
}

fn expression(input: &mut &str) -> ModalResult<Filter> {
    let first = part.parse_next(input)?;
    let all: Vec<_> = repeat(0.., preceded(word("AND"), cut_err(part))).parse_next(input)?;
    let any: Vec<_> = match all.is_empty() {
        true => repeat(0.., preceded(word("OR"), cut_err(part))).parse_next(input)?,
        false => Vec::new(),
    };
    let (joined, join): (_, fn(Vec<Filter>) -> Filter) = match (all.is_empty(), any.is_empty()) {
        (true, true) => return Ok(first),
        (false, _) => (all, Filter::All),
        (true, false) => (any, Filter::Any),
    };
    cut_err(not(alt((word("AND"), word("OR")))))
        .context(expected("parentheses around what AND or OR joins, to mix them"))
        .parse_next(input)?;
    Ok(join(std::iter::once(first).chain(joined).collect()))
}

/// A word between parts.
fn word<'i>(word: &'static str) -> impl winnow::ModalParser<&'i str, (), ContextError> {
    delimited(multispace1, word, alt((multispace1.void(), peek('(').void()))).void()
}

fn part(input: &mut &str) -> ModalResult<Filter> {
    let negated = opt(terminated("NOT", alt((multispace1.void(), peek('(').void()))));
    let is_negated = terminated(negated, multispace0).parse_next(input)?.is_some();
    let part = alt((parenthesised, cut_err(tested))).parse_next(input)?;
    Ok(if is_negated { Filter::Not(Box::new(part)) } else { part })
}

fn parenthesised(input: &mut &str) -> ModalResult<Filter> {
    let close = cut_err(')').context(expected("`)`"));
    delimited(('(', multispace0), cut_err(expression), (multispace0, close)).parse_next(input)
}

fn tested(input: &mut &str) -> ModalResult<Filter> {
    let operator = operator.context(expected("one of = != : < <= > >="));
    let operator = delimited(multispace0, cut_err(operator), multispace0);
    let value = cut_err(value).context(expected("a value"));
    let field = field.context(expected("a comparison such as plan = pro"));
    (field, operator, value)
        .try_map(|(field, operator, value)| comparison(field, operator, &value).map_err(Refused))
        .parse_next(input)
}

/// Why a comparison cannot be asked.
#[derive(Debug)]
struct Refused(String);

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Refused {}

fn field<'i>(input: &mut &'i str) -> ModalResult<&'i str> {
    take_while(1.., |character: char| {
        character.is_ascii_alphanumeric() || "-_./".contains(character)
    })
    .parse_next(input)
}

fn operator(input: &mut &str) -> ModalResult<Operator> {
    alt((
        "!=".value(Operator::NotEqual),
        "<=".value(Operator::LessOrEqual),
        ">=".value(Operator::GreaterOrEqual),
        '='.value(Operator::Equal),
        ':'.value(Operator::Has),
        '<'.value(Operator::Less),
        '>'.value(Operator::Greater),
    ))
    .parse_next(input)
}

fn value(input: &mut &str) -> ModalResult<String> {
    let bare = take_while(1.., |character: char| {
        !(character.is_whitespace() || "()\"".contains(character))
    });
    alt((quoted, bare.map(str::to_owned))).parse_next(input)
}

/// In double quotes, in which `\` takes the next character as it is.
fn quoted(input: &mut &str) -> ModalResult<String> {
    let escaped = preceded('\\', one_of(['"', '\\']));
    let characters = repeat(0.., alt((escaped, none_of(['"', '\\']))));
    let close = cut_err('"').context(expected("`\"`, and `\\\"` or `\\\\` within quotes"));
    delimited('"', characters, close).parse_next(input)
}
