// A small shop on Express under @opentelemetry/auto-instrumentations-node. Each route fails in one
// way; the id is in the path.
//
// UPSTREAM_URL is a payment service that answers 500 to everything, CLOSED_URL an address where
// nobody listens. The shop listens on any free port and prints it.

const { context, trace } = require("@opentelemetry/api");
const { getRPCMetadata } = require("@opentelemetry/core");
const express = require("express");

class CouponError extends Error {
  name = "CouponError";
}

const app = express();
const tracer = trace.getTracer("shop");

// The active span is this function's own; the request's is where everybody looks.
app.use((request, _response, next) => {
  const { span } = getRPCMetadata(context.active());
  span.setAttribute("enduser.id", request.get("X-User"));
  span.setAttribute("request.id", request.get("X-Request-Id"));
  next();
});

app.get("/orders/:id", (request, response) => {
  response.json({ order: request.params.id });
});

// Express answers what leaves a handler with 500.
app.get("/orders/:id/crash", (request) => {
  throw new TypeError(`order ${request.params.id} has no lines`);
});

app.get("/orders/:id/unavailable", (_request, response) => {
  response.status(503).json({ error: "closed for stocktaking" });
});

// The payment service fails; the shop says so without an exception.
app.get("/orders/:id/payment", async (request, response) => {
  const answer = await fetch(`${process.env.UPSTREAM_URL}/pay/${request.params.id}?key=hush`);
  response.status(answer.ok ? 200 : 502).json({ paid: answer.ok });
});

// Nobody listens; the exception of the call leaves the handler.
app.get("/orders/:id/shipping", async (request, response) => {
  await fetch(`${process.env.CLOSED_URL}/ship/${request.params.id}`);
  response.json({ shipped: true });
});

// An exception is caught, noted and lived with.
app.get("/orders/:id/coupon", (request, response) => {
  tracer.startActiveSpan("look up coupon", (span) => {
    try {
      throw new CouponError(`no coupon for order ${request.params.id}`);
    } catch (error) {
      span.recordException(error);
    }
    span.end();
  });
  response.json({ coupon: null });
});

const server = app.listen(0, "127.0.0.1", () => console.log(server.address().port));

// The process ends when nothing is left to do; then the SDK has sent the spans that waited.
process.on("SIGTERM", () => {
  server.close();
  server.closeAllConnections();
});
