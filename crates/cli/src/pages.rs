//! Lists: pages are fetched until there is enough.

use clap::Args;
use tenantry_api::{
    ClientError, ListQuery, PageBody,
    page::{DEFAULT_PAGE_ITEMS, MAX_PAGE_ITEMS},
};

use crate::{
    error::CliError,
    output::{Answer, Columns, Rest},
    session::Session,
};

/// How much of a list is wanted.
#[derive(Debug, Args)]
pub(crate) struct Listing {
    /// How many items at most
    #[arg(long, value_name = "N", default_value_t = DEFAULT_PAGE_ITEMS, value_parser = some, conflicts_with = "all")]
    limit: usize,
    /// The whole list
    #[arg(long)]
    all: bool,
}

fn some(text: &str) -> Result<usize, String> {
    let items = text.parse().ok().filter(|items| *items > 0);
    items.ok_or_else(|| "write a whole number from 1 on".to_owned())
}

impl Listing {
    fn wanted(&self) -> usize {
        if self.all { usize::MAX } else { self.limit }
    }
}

/// Follows the cursors until there are as many items as wanted, or no more.
pub(crate) async fn collect<T: Columns>(
    session: &Session,
    listing: &Listing,
    page: impl AsyncFn(ListQuery) -> Result<PageBody<T>, ClientError>,
) -> Result<Answer, CliError> {
    let (items, rest) =
        gather(listing.wanted(), async |query| session.ask(page(query)).await).await?;
    Ok(Answer::list(&items, rest))
}

/// All items, for what works on each of them.
pub(crate) async fn all<T>(
    session: &Session,
    page: impl AsyncFn(ListQuery) -> Result<PageBody<T>, ClientError>,
) -> Result<Vec<T>, CliError> {
    gather(usize::MAX, async |query| session.ask(page(query)).await).await.map(|(items, _)| items)
}

async fn gather<T, E>(
    wanted: usize,
    page: impl AsyncFn(ListQuery) -> Result<PageBody<T>, E>,
) -> Result<(Vec<T>, Rest), E> {
    let (mut items, mut cursor) = (Vec::new(), None);
    while items.len() < wanted {
        let limit = Some((wanted - items.len()).min(MAX_PAGE_ITEMS));
        let next = page(ListQuery { limit, cursor: cursor.take() }).await?;
        items.extend(next.items);
        cursor = next.next_cursor;
        if cursor.is_none() {
            break;
        }
    }
    Ok((items, if cursor.is_some() { Rest::More } else { Rest::Nothing }))
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;

    /// A list of 2,500 items that begins with an empty page.
    async fn page(query: ListQuery) -> Result<PageBody<usize>, Infallible> {
        let Some(cursor) = query.cursor else {
            return Ok(PageBody { items: Vec::new(), next_cursor: Some("0".to_owned()) });
        };
        let from: usize = cursor.parse().unwrap();
        let end = (from + query.limit.unwrap()).min(2500);
        let next_cursor = (end < 2500).then(|| end.to_string());
        Ok(PageBody { items: (from..end).collect(), next_cursor })
    }

    async fn check(wanted: usize, got: usize, rest: Rest) {
        let (items, left) = gather(wanted, page).await.unwrap();
        assert_eq!((items.len(), left), (got, rest), "{wanted}");
        assert!(items.into_iter().eq(0..got));
    }

    #[tokio::test]
    async fn cursors_are_followed() {
        check(1, 1, Rest::More).await;
        check(1001, 1001, Rest::More).await;
        check(2499, 2499, Rest::More).await;
        check(2500, 2500, Rest::Nothing).await;
        check(usize::MAX, 2500, Rest::Nothing).await;
    }
}
