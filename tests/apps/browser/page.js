// A page of a shop under the OpenTelemetry web SDK. Each of its steps fails in one way.
//
// README's lines for browsers take the place of the comment below. In the page's query, "closed" is
// an address where nobody listens. When all spans are sent, the page asks its server for /done.

import { SpanStatusCode, context, trace } from "@opentelemetry/api";
import { OTLPTraceExporter } from "@opentelemetry/exporter-trace-otlp-http";
import { registerInstrumentations } from "@opentelemetry/instrumentation";
import { FetchInstrumentation } from "@opentelemetry/instrumentation-fetch";
import { resourceFromAttributes } from "@opentelemetry/resources";
import { BatchSpanProcessor, WebTracerProvider } from "@opentelemetry/sdk-trace-web";

// README's lines for browsers.
const tracer = trace.getTracer("shop");
const calls = [];
const ask = globalThis.fetch;

registerInstrumentations({
  instrumentations: [
    new FetchInstrumentation({
      applyCustomAttributesOnSpan(span) {
        span.setAttribute("user.id", "user-1");
        calls.push(span);
      },
    }),
  ],
});

function fail(span, error) {
  span.recordException(error);
  span.setStatus({ code: SpanStatusCode.ERROR, message: error.message });
}

// A step of the page, with a span of its own.
async function step(name, act) {
  const span = tracer.startSpan(name, { attributes: { "user.id": "user-1" } });
  try {
    await context.with(trace.setSpan(context.active(), span), act);
  } catch (error) {
    fail(span, error);
  }
  span.end();
}

// What nobody catches.
const uncaught = new Promise((resolve) => {
  addEventListener("error", ({ error }) => {
    const span = tracer.startSpan("uncaught", { attributes: { "user.id": "user-1" } });
    fail(span, error);
    span.end();
    resolve();
  });
});

await step("show order", () => fetch("/orders/17"));

// The page lives with an answer that it did not hope for.
await step("recommend", () => fetch("/orders/17/recommend"));

// The page fails because its server did.
await step("pay", async () => {
  const answer = await fetch("/orders/17/pay");
  throw new RangeError(`order 17 is not paid: ${await answer.text()}`);
});

// Nobody listens.
await step("ship", () => fetch(new URLSearchParams(location.search).get("closed")));

setTimeout(() => undefined.lines);
await uncaught;

// The instrumentation ends a call's span some time after the call.
while (calls.some((span) => span.isRecording())) {
  await new Promise((resolve) => setTimeout(resolve, 10));
}
await provider.forceFlush().catch(console.error);
await ask("/done");
