"""A small shop under opentelemetry-instrument. Each route fails in one way; the id is in the path.

UPSTREAM_URL is a payment service that answers 500 to everything, CLOSED_URL an address where
nobody listens, PORT where the shop itself listens (0: any free port; it is printed).
"""

import os
import signal
import sqlite3
import sys

import requests
from flask import Flask, request
from opentelemetry import trace
from werkzeug.serving import make_server

app = Flask(__name__)
tracer = trace.get_tracer("shop")


class LockError(Exception):
    """Somebody else holds the order."""


class ReservationError(Exception):
    """Raised from the error that made it impossible."""


@app.before_request
def note_user():
    trace.get_current_span().set_attribute("enduser.id", request.headers["X-User"])


@app.get("/orders/<int:order_id>")
def order(order_id):
    return {"order": order_id}


@app.get("/orders/<int:order_id>/crash")
def crash(order_id):
    raise ValueError(f"order {order_id} has no lines")


@app.get("/orders/<int:order_id>/unavailable")
def unavailable(order_id):
    return {"error": f"order {order_id}: closed for stocktaking"}, 503


@app.get("/orders/<int:order_id>/payment")
def payment(order_id):
    """The payment service fails; the shop says so without an exception."""
    answer = requests.get(f"{os.environ['UPSTREAM_URL']}/pay/{order_id}?key=hush", timeout=5)
    return {"paid": answer.ok}, 200 if answer.ok else 502


@app.get("/orders/<int:order_id>/refund")
def refund(order_id):
    """The payment service fails; the shop raises an exception that does not name the call's."""
    answer = requests.get(f"{os.environ['UPSTREAM_URL']}/refund/{order_id}", timeout=5)
    answer.raise_for_status()
    return {"refunded": True}


@app.get("/orders/<int:order_id>/shipping")
def shipping(order_id):
    """Nobody listens; the exception of the call leaves the view."""
    requests.get(f"{os.environ['CLOSED_URL']}/ship/{order_id}", timeout=5)
    return {"shipped": True}


@app.get("/orders/<int:order_id>/stock")
def stock(order_id):
    """A statement fails; its exception leaves the view."""
    cursor = sqlite3.connect(":memory:").cursor()
    cursor.execute("SELECT amount FROM stock WHERE order_id = ?", (order_id,))
    return {"stock": cursor.fetchone()}


@app.get("/orders/<int:order_id>/hint")
def hint(order_id):
    """A statement fails; the view lives without it."""
    try:
        sqlite3.connect(":memory:").cursor().execute("SELECT text FROM hints")
    except sqlite3.OperationalError:
        pass
    return {"hint": None}


@app.get("/orders/<int:order_id>/coupon")
def coupon(order_id):
    """An exception is caught, noted and lived with."""
    try:
        raise KeyError(f"coupon of order {order_id}")
    except KeyError as error:
        trace.get_current_span().record_exception(error)
    return {"coupon": None}


@app.get("/orders/<int:order_id>/quantity")
def quantity(order_id):
    """An exception is caught, noted and answered as the caller's mistake."""
    try:
        raise ValueError(f"order {order_id} asks for -1 pieces")
    except ValueError as error:
        trace.get_current_span().record_exception(error)
    return {"error": "how many?"}, 422


@app.get("/orders/<int:order_id>/invoice")
def invoice(order_id):
    """Two calls fail, one after the other: the view lives without the first, and not with the second."""
    requests.get(f"{os.environ['UPSTREAM_URL']}/rates/{order_id}", timeout=5)
    sqlite3.connect(":memory:").cursor().execute("SELECT total FROM invoices")
    return {"invoice": order_id}


@app.get("/orders/<int:order_id>/reserve")
def reserve(order_id):
    """An exception passes two spans of the shop's own and is wrapped on its way."""
    with tracer.start_as_current_span("reserve"):
        try:
            with tracer.start_as_current_span("lock"):
                raise LockError(f"order {order_id} is locked")
        except LockError as error:
            raise ReservationError("no reservation") from error


if __name__ == "__main__":
    server = make_server("127.0.0.1", int(os.environ["PORT"]), app, threaded=True)
    # SystemExit runs the SDK's exit handler, which sends the spans that wait.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    print(server.port, flush=True)
    server.serve_forever()
