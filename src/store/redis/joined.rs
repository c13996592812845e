//! Runs several requests concurrently.

use std::{
    future::{Future, poll_fn},
    pin::Pin,
    task::Poll,
};

/// How many requests run concurrently.
pub(super) const AT_ONCE: usize = 64;

/// One of the requests that run concurrently.
pub(super) type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

pub(super) fn boxed<'a, T>(future: impl Future<Output = T> + Send + 'a) -> Boxed<'a, T> {
    Box::pin(future)
}

/// Waits for all futures, and returns their outputs in order. They are polled in the caller's task, so dropping this
/// drops them.
pub(super) async fn joined<T>(mut running: Vec<Boxed<'_, T>>) -> Vec<T> {
    let mut outputs: Vec<Option<T>> = running.iter().map(|_| None).collect();
    poll_fn(move |context| {
        let mut is_ready = true;
        for (future, output) in running.iter_mut().zip(&mut outputs) {
            if output.is_none() {
                match future.as_mut().poll(context) {
                    Poll::Ready(value) => *output = Some(value),
                    Poll::Pending => is_ready = false,
                }
            }
        }
        if is_ready { Poll::Ready(outputs.drain(..).flatten().collect()) } else { Poll::Pending }
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn outputs_keep_the_order() {
        let numbers = (0..100u32).map(|n| async move {
            for _ in 0..n % 3 {
                tokio::task::yield_now().await;
            }
            n
        });
        let numbers = numbers.map(boxed);
        assert!(joined(numbers.collect()).await.into_iter().eq(0..100));
        assert!(joined(Vec::<Boxed<'_, ()>>::new()).await.is_empty());
    }
}
