//! How many requests to the server a request of a visitor costs, counted by the server's `MONITOR`.

use http::StatusCode;
use session_layer::Session;

use crate::{
    server::{Monitor, Product, Server},
    support::*,
};

/// The scripts that the visit has run. The first visits have sent them in full already.
async fn cost(monitor: &mut Monitor<'_>, visit: impl Future<Output = StatusCode>) -> usize {
    monitor.commands();
    assert_eq!(visit.await, StatusCode::OK);
    let commands = monitor.commands();
    assert!(commands.iter().all(|command| command.starts_with("EVALSHA ")), "{commands:#?}");
    commands.len()
}

async fn read(session: Session) -> Result<(), session_layer::Error> {
    session.get::<u8>("n").map(drop)
}

async fn write(session: Session) -> Result<(), session_layer::Error> {
    session.update("n", |n: &mut u8| *n += 1)
}

async fn login(session: Session) -> Result<(), session_layer::Error> {
    session.login("ada")
}

async fn logout(session: Session) -> Result<(), session_layer::Error> {
    session.destroy()
}

#[tokio::test]
async fn a_request_costs_as_few_round_trips_as_it_can() {
    for product in Product::ALL {
        let server = Server::start(product, &[]);
        // One connection, so that it is made before anything is counted.
        let store = builder(&server).connections(1).build().unwrap();
        for _ in 0..2 {
            let mut warm = Site::new(&store);
            for status in [warm.visit(write).await, warm.visit(login).await, warm.visit(write).await] {
                assert_eq!(status, StatusCode::OK);
            }
            assert_eq!((warm.visit(read).await, warm.visit(logout).await), (StatusCode::OK, StatusCode::OK));
        }
        let (mut monitor, mut site) = (server.monitor(), Site::new(&store));
        assert_eq!(cost(&mut monitor, site.visit(write)).await, 1, "{product:?}: a new session");
        assert_eq!(cost(&mut monitor, site.visit(read)).await, 1, "{product:?}: a read");
        assert_eq!(cost(&mut monitor, site.visit(write)).await, 2, "{product:?}: a write");
        assert_eq!(cost(&mut monitor, site.visit(login)).await, 4, "{product:?}: a login");
        assert_eq!(cost(&mut monitor, site.visit(read)).await, 1, "{product:?}: a read with an owner");
        assert_eq!(cost(&mut monitor, site.visit(write)).await, 2, "{product:?}: a write with an owner");
        assert_eq!(cost(&mut monitor, site.visit(logout)).await, 2, "{product:?}: a logout");
    }
}
