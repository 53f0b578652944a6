//! The shop of the demo: what its customers do, how that goes, and what redspan must make of it.

use opentelemetry::trace::SpanKind;

use super::story::{
    Step, Story, Thrown,
    Value::{Number, Text},
    expected, step,
};
use crate::domain::{Category, Severity};

const SELECT_PRODUCT: Step = step(
    "catalog",
    SpanKind::Client,
    "SELECT products",
    &[
        ("db.system.name", Text("postgresql")),
        ("db.operation.name", Text("SELECT")),
        (
            "db.query.text",
            Text("SELECT * FROM products WHERE id = $1"),
        ),
    ],
    4,
);

const CATALOG_PRODUCT: Step = step(
    "catalog",
    SpanKind::Server,
    "GET /products/{id}",
    &[
        ("http.request.method", Text("GET")),
        ("http.route", Text("/products/{id}")),
        ("http.response.status_code", Number(200)),
    ],
    6,
)
.with(&[SELECT_PRODUCT]);

const CALL_CATALOG: Step = step(
    "web",
    SpanKind::Client,
    "GET",
    &[
        ("http.request.method", Text("GET")),
        ("url.full", Text("http://catalog:8080/products/{number}")),
        ("server.address", Text("catalog")),
        ("http.response.status_code", Number(200)),
    ],
    2,
)
.with(&[CATALOG_PRODUCT]);

const RESERVE_STOCK: Step = step(
    "orders",
    SpanKind::Client,
    "UPDATE stock",
    &[
        ("db.system.name", Text("postgresql")),
        ("db.operation.name", Text("UPDATE")),
    ],
    7,
);

/// A picture that somebody has uploaded.
const fn upload(millis: u32) -> Step {
    step(
        "thumbnails",
        SpanKind::Consumer,
        "process uploads",
        &[
            ("messaging.system", Text("kafka")),
            ("messaging.operation.type", Text("process")),
            ("messaging.destination.name", Text("uploads")),
        ],
        millis,
    )
}

/// An order that the shop could not take.
const fn refused_order(millis: u32) -> Step {
    step(
        "orders",
        SpanKind::Server,
        "POST /orders",
        &[
            ("http.request.method", Text("POST")),
            ("http.route", Text("/orders")),
            ("http.response.status_code", Number(500)),
            ("user.id", Text("customer-{customer}")),
        ],
        millis,
    )
}

/// What customers do. Each failure shows another category.
pub(super) const STORIES: &[Story] = &[
    Story {
        weight: 500,
        step: step(
            "web",
            SpanKind::Server,
            "GET /products/:id",
            &[
                ("http.request.method", Text("GET")),
                ("http.route", Text("/products/:id")),
                ("http.response.status_code", Number(200)),
                ("user.id", Text("customer-{customer}")),
            ],
            9,
        )
        .with(&[CALL_CATALOG]),
        errors: &[],
    },
    Story {
        weight: 250,
        step: step(
            "web",
            SpanKind::Server,
            "GET /search",
            &[
                ("http.request.method", Text("GET")),
                ("http.route", Text("/search")),
                ("http.response.status_code", Number(200)),
                ("user.id", Text("customer-{customer}")),
            ],
            35,
        ),
        errors: &[],
    },
    Story {
        weight: 40,
        step: step(
            "web",
            SpanKind::Server,
            "GET /products/:id",
            &[
                ("http.request.method", Text("GET")),
                ("http.route", Text("/products/:id")),
                ("http.response.status_code", Number(404)),
            ],
            3,
        ),
        errors: &[],
    },
    Story {
        weight: 100,
        step: step(
            "orders",
            SpanKind::Server,
            "POST /orders",
            &[
                ("http.request.method", Text("POST")),
                ("http.route", Text("/orders")),
                ("http.response.status_code", Number(201)),
                ("user.id", Text("customer-{customer}")),
            ],
            12,
        )
        .with(&[
            RESERVE_STOCK,
            step(
                "orders",
                SpanKind::Client,
                "POST",
                &[
                    ("http.request.method", Text("POST")),
                    ("url.full", Text("https://api.cards.example/v1/charges")),
                    ("server.address", Text("api.cards.example")),
                    ("http.response.status_code", Number(200)),
                ],
                140,
            ),
        ]),
        errors: &[],
    },
    Story {
        weight: 30,
        step: upload(420),
        errors: &[],
    },
    // The card network answers 503: one failure, seen by three spans.
    Story {
        weight: 12,
        step: refused_order(14)
        .throws(GATEWAY_UNAVAILABLE)
        .with(&[step("orders", SpanKind::Internal, "charge card", &[], 2)
            .throws(GATEWAY_UNAVAILABLE)
            .with(&[step(
                "orders",
                SpanKind::Client,
                "POST",
                &[
                    ("http.request.method", Text("POST")),
                    ("url.full", Text("https://api.cards.example/v1/charges")),
                    ("server.address", Text("api.cards.example")),
                    ("http.response.status_code", Number(503)),
                    ("error.type", Text("503")),
                ],
                900,
            )
            .throws(GATEWAY_UNAVAILABLE)])]),
        errors: &[expected(
            "orders",
            "/orders",
            "cards.GatewayUnavailable",
            Severity::Error,
            Category::ExternalApi,
        )],
    },
    // Two orders want the same stock.
    Story {
        weight: 6,
        step: refused_order(11)
        .throws(DEADLOCK)
        .with(&[RESERVE_STOCK.throws(DEADLOCK)]),
        errors: &[expected(
            "orders",
            "/orders",
            "psycopg.errors.DeadlockDetected",
            Severity::Error,
            Category::Database,
        )],
    },
    // The catalog is being restarted.
    Story {
        weight: 5,
        step: step(
            "web",
            SpanKind::Server,
            "GET /products/:id",
            &[
                ("http.request.method", Text("GET")),
                ("http.route", Text("/products/:id")),
                ("http.response.status_code", Number(502)),
                ("user.id", Text("customer-{customer}")),
            ],
            5,
        )
        .failed()
        .with(&[step(
            "web",
            SpanKind::Client,
            "GET",
            &[
                ("http.request.method", Text("GET")),
                ("url.full", Text("http://catalog:8080/products/{number}")),
                ("server.address", Text("catalog")),
            ],
            2,
        )
        .throws(Thrown {
            type_name: "Error",
            message: "connect ECONNREFUSED 10.0.3.7:8080",
            stack: "Error: connect ECONNREFUSED 10.0.3.7:8080\n    \
                    at TCPConnectWrap.afterConnect [as oncomplete] (node:net:1611:16)",
        })]),
        errors: &[expected("web", "/products/:id", "Error", Severity::Error, Category::Network)],
    },
    // A product without a price.
    Story {
        weight: 8,
        step: step(
            "web",
            SpanKind::Server,
            "GET /cart",
            &[
                ("http.request.method", Text("GET")),
                ("http.route", Text("/cart")),
                ("http.response.status_code", Number(500)),
                ("user.id", Text("customer-{customer}")),
            ],
            7,
        )
        .throws(Thrown {
            type_name: "TypeError",
            message: "Cannot read properties of undefined (reading 'price')",
            stack: "TypeError: Cannot read properties of undefined (reading 'price')\n    \
                    at total (/app/src/cart.js:42:31)\n    \
                    at /app/src/routes/cart.js:18:20\n    \
                    at Layer.handle [as handle_request] (/app/node_modules/express/lib/router/layer.js:95:5)",
        }),
        errors: &[expected("web", "/cart", "TypeError", Severity::Error, Category::Application)],
    },
    // The orders service may not read addresses: its own mistake, so no more than a warning.
    Story {
        weight: 3,
        step: step(
            "customers",
            SpanKind::Server,
            "shop.Customers/GetAddress",
            &[
                ("rpc.system.name", Text("grpc")),
                ("rpc.method", Text("shop.Customers/GetAddress")),
                ("rpc.response.status_code", Text("PERMISSION_DENIED")),
                ("user.id", Text("customer-{customer}")),
            ],
            4,
        )
        .failed(),
        errors: &[expected(
            "customers",
            "shop.Customers/GetAddress",
            "PERMISSION_DENIED",
            Severity::Warning,
            Category::Authorization,
        )],
    },
    // A token that ran out.
    Story {
        weight: 3,
        step: step(
            "customers",
            SpanKind::Server,
            "shop.Customers/GetOrders",
            &[
                ("rpc.system.name", Text("grpc")),
                ("rpc.method", Text("shop.Customers/GetOrders")),
                ("rpc.response.status_code", Text("UNAUTHENTICATED")),
            ],
            2,
        )
        .throws(Thrown {
            type_name: "io.grpc.StatusRuntimeException",
            message: "UNAUTHENTICATED: the token ran out",
            stack: "io.grpc.StatusRuntimeException: UNAUTHENTICATED: the token ran out\n\t\
                    at com.example.customers.Tokens.check(Tokens.java:44)\n\t\
                    at com.example.customers.Customers.getOrders(Customers.java:23)",
        }),
        errors: &[expected(
            "customers",
            "shop.Customers/GetOrders",
            "io.grpc.StatusRuntimeException",
            Severity::Warning,
            Category::Authentication,
        )],
    },
    // An upload that is no picture.
    Story {
        weight: 4,
        step: upload(15)
        .throws(Thrown {
            type_name: "pydantic_core._pydantic_core.ValidationError",
            message: "1 validation error for Upload: width must be greater than 0",
            stack: "Traceback (most recent call last):\n  \
                    File \"/app/worker.py\", line 31, in handle\n    upload = Upload.model_validate(message)\n\
                    pydantic_core._pydantic_core.ValidationError: 1 validation error for Upload",
        }),
        errors: &[expected(
            "thumbnails",
            "uploads",
            "pydantic_core._pydantic_core.ValidationError",
            Severity::Error,
            Category::Validation,
        )],
    },
    // A template that was not deployed.
    Story {
        weight: 3,
        step: step(
            "orders",
            SpanKind::Server,
            "GET /orders/{id}/invoice",
            &[
                ("http.request.method", Text("GET")),
                ("http.route", Text("/orders/{id}/invoice")),
                ("http.response.status_code", Number(500)),
                ("user.id", Text("customer-{customer}")),
            ],
            5,
        )
        .throws(Thrown {
            type_name: "FileNotFoundError",
            message: "[Errno 2] No such file or directory: '/app/templates/invoice.html'",
            stack: "Traceback (most recent call last):\n  \
                    File \"/app/invoice.py\", line 12, in render\n    template = open(path)\n\
                    FileNotFoundError: [Errno 2] No such file or directory: '/app/templates/invoice.html'",
        }),
        errors: &[expected(
            "orders",
            "/orders/{id}/invoice",
            "FileNotFoundError",
            Severity::Error,
            Category::FileSystem,
        )],
    },
    // Recommendations are slow; the page goes out without them.
    Story {
        weight: 10,
        step: step(
            "web",
            SpanKind::Server,
            "GET /",
            &[
                ("http.request.method", Text("GET")),
                ("http.route", Text("/")),
                ("http.response.status_code", Number(200)),
                ("user.id", Text("customer-{customer}")),
            ],
            18,
        )
        .with(&[
            step("web", SpanKind::Internal, "recommendations", &[], 250).catches(Thrown {
                type_name: "TimeoutError",
                message: "no recommendations within 250 ms",
                stack: "TimeoutError: no recommendations within 250 ms\n    \
                        at recommend (/app/src/home.js:27:11)",
            }),
        ]),
        errors: &[expected("web", "/", "TimeoutError", Severity::Warning, Category::Network)],
    },
    // A picture too large for the worker.
    Story {
        weight: 1,
        step: upload(2_300)
        .throws(Thrown {
            type_name: "java.lang.OutOfMemoryError",
            message: "Java heap space",
            stack: "java.lang.OutOfMemoryError: Java heap space\n\t\
                    at com.example.thumbnails.Scaler.scale(Scaler.java:77)\n\t\
                    at com.example.thumbnails.Worker.run(Worker.java:31)",
        }),
        errors: &[expected(
            "thumbnails",
            "uploads",
            "java.lang.OutOfMemoryError",
            Severity::Critical,
            Category::Application,
        )],
    },
    // Somebody forgot to say what went wrong.
    Story {
        weight: 2,
        step: step(
            "orders",
            SpanKind::Server,
            "DELETE /orders/{id}",
            &[
                ("http.request.method", Text("DELETE")),
                ("http.route", Text("/orders/{id}")),
                ("http.response.status_code", Number(500)),
            ],
            6,
        )
        .failed(),
        errors: &[expected("orders", "/orders/{id}", "500", Severity::Error, Category::Unknown)],
    },
];

const GATEWAY_UNAVAILABLE: Thrown = Thrown {
    type_name: "cards.GatewayUnavailable",
    message: "the card network answered 503",
    stack: "Traceback (most recent call last):\n  \
            File \"/app/cards.py\", line 58, in charge\n    raise GatewayUnavailable(answer.status)\n\
            cards.GatewayUnavailable: the card network answered 503",
};

const DEADLOCK: Thrown = Thrown {
    type_name: "psycopg.errors.DeadlockDetected",
    message: "deadlock detected: process {number} waits for ShareLock",
    stack: "Traceback (most recent call last):\n  \
            File \"/app/stock.py\", line 20, in reserve\n    cursor.execute(RESERVE, (product,))\n\
            psycopg.errors.DeadlockDetected: deadlock detected",
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shop_shows_every_category() {
        let shown = |category: &Category| {
            let mut errors = STORIES.iter().flat_map(|story| story.errors);
            errors.any(|error| error.category == *category)
        };
        let hidden: Vec<Category> = Category::ALL
            .iter()
            .copied()
            .filter(|category| !shown(category))
            .collect();
        assert_eq!(hidden, []);
    }
}
