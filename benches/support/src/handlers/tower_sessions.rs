//! tower-sessions, in its newest release and in the one that most of its stores are made for.

use axum::{Router, routing::get};

use crate::app::App;

/// The two releases have the same interface with different types.
macro_rules! release {
    ($name:ident, $library:ident) => {
        pub mod $name {
            use std::hint::black_box;

            use ::$library::{Session, SessionManagerLayer, SessionStore, session::Error};
            use axum::{
                extract::{Path, State},
                response::Html,
            };
            use http::StatusCode;

            use super::*;
            use crate::{
                content::{Item, User},
                gate::RACERS,
                page::page,
            };

            type Answer<T = &'static str> = Result<T, StatusCode>;

            fn failed(_: Error) -> StatusCode {
                StatusCode::INTERNAL_SERVER_ERROR
            }

            pub fn router<S: SessionStore + Clone>(store: S, app: App) -> Router {
                routes!().layer(SessionManagerLayer::new(store)).with_state(app)
            }

            async fn fill(State(app): State<App>, session: Session) -> Answer {
                let content = app.content();
                session.insert("user", &content.user).await.map_err(failed)?;
                if let Some(cart) = &content.cart {
                    session.insert("cart", cart).await.map_err(failed)?;
                }
                if let Some(csrf) = content.csrf {
                    session.insert("csrf", csrf).await.map_err(failed)?;
                }
                for (key, value) in &content.more {
                    session.insert(key, value).await.map_err(failed)?;
                }
                session.insert("n", 0).await.map_err(failed)?;
                Ok("ok")
            }

            async fn read(session: Session) -> Answer {
                black_box(session.get::<User>("user").await.map_err(failed)?.expect("it is filled"));
                Ok("ok")
            }

            async fn write(session: Session) -> Answer {
                let n = session.get::<u64>("n").await.map_err(failed)?.expect("it is filled");
                session.insert("n", n + 1).await.map_err(failed)?;
                Ok("ok")
            }

            async fn create(session: Session) -> Answer {
                session.insert("n", 1).await.map_err(failed)?;
                Ok("ok")
            }

            async fn home(session: Session) -> Answer<Html<String>> {
                let visits = session.get::<u64>("n").await.map_err(failed)?.unwrap_or_default() + 1;
                session.insert("n", visits).await.map_err(failed)?;
                let user = session.get::<User>("user").await.map_err(failed)?.expect("it is filled");
                let cart = session.get::<Vec<Item>>("cart").await.map_err(failed)?.unwrap_or_default();
                Ok(Html(page(&user, &cart, visits)))
            }

            async fn cart(session: Session) -> Answer {
                let mut cart = session.get::<Vec<Item>>("cart").await.map_err(failed)?.unwrap_or_default();
                cart[0].count += 1;
                session.insert("cart", &cart).await.map_err(failed)?;
                Ok("ok")
            }

            async fn renew(session: Session) -> Answer {
                session.cycle_id().await.map_err(failed)?;
                Ok("ok")
            }

            async fn key(State(app): State<App>, Path(key): Path<String>, session: Session) -> Answer {
                session.load().await.map_err(failed)?;
                app.gate().all_loaded().await;
                session.insert(&key, true).await.map_err(failed)?;
                Ok("ok")
            }

            async fn increment(State(app): State<App>, session: Session) -> Answer {
                session.load().await.map_err(failed)?;
                app.gate().all_loaded().await;
                let n = session.get::<u64>("n").await.map_err(failed)?.unwrap_or_default();
                session.insert("n", n + 1).await.map_err(failed)?;
                Ok("ok")
            }

            async fn slow(State(app): State<App>, session: Session) -> Answer {
                session.load().await.map_err(failed)?;
                app.gate().work().await;
                session.insert("late", true).await.map_err(failed)?;
                Ok("ok")
            }

            async fn logout(session: Session) -> Answer {
                session.flush().await.map_err(failed)?;
                Ok("ok")
            }

            async fn keys(session: Session) -> Answer<String> {
                let mut there = 0;
                for at in 0..RACERS {
                    there += u64::from(session.get_value(&format!("k{at}")).await.map_err(failed)?.is_some());
                }
                Ok(there.to_string())
            }

            async fn n(session: Session) -> Answer<String> {
                Ok(session.get::<u64>("n").await.map_err(failed)?.unwrap_or_default().to_string())
            }

            async fn has_user(session: Session) -> Answer<String> {
                Ok(u8::from(session.get_value("user").await.map_err(failed)?.is_some()).to_string())
            }
        }
    };
}

release!(newest, tower_sessions);
release!(of_moka, tower_sessions_of_moka);
