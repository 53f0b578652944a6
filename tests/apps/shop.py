"""A small shop under opentelemetry-instrument. Each route fails in one way; the id is in the path."""

import os
import sqlite3

import requests
from flask import Flask
from opentelemetry import trace

app = Flask(__name__)
UPSTREAM = os.environ["UPSTREAM_URL"]


@app.get("/orders/<int:order_id>")
def ok(order_id):
    return {"order": order_id}


@app.get("/orders/<int:order_id>/crash")
def crash(order_id):
    raise ValueError(f"order {order_id} has no lines")


@app.get("/orders/<int:order_id>/unavailable")
def unavailable(order_id):
    return {"error": "closed for stocktaking"}, 503


@app.get("/orders/<int:order_id>/payment")
def payment(order_id):
    answer = requests.get(f"{UPSTREAM}/pay/{order_id}?card=4111111111111111", timeout=5)
    answer.raise_for_status()
    return {"paid": True}


@app.get("/orders/<int:order_id>/stock")
def stock(order_id):
    connection = sqlite3.connect(":memory:")
    connection.cursor().execute("SELECT amount FROM stock WHERE order_id = ?", (order_id,))
    return {"stock": 1}


@app.get("/orders/<int:order_id>/coupon")
def coupon(order_id):
    try:
        raise KeyError(f"coupon of order {order_id}")
    except KeyError as error:
        trace.get_current_span().record_exception(error)
    return {"coupon": None}


if __name__ == "__main__":
    app.run(port=int(os.environ["PORT"]), threaded=True)
