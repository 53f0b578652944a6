"""A worker that makes models, each by a run of four stages: `worker.py FIRST END` makes the numbers
from FIRST to before END. Each number ends in its own way, which `tests/integration/apps/workers.rs`
knows; that of seven is that the process is killed.
"""

import os
import signal
import sys
import time

from opentelemetry import context, trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.propagate import extract, inject
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

STAGES = ("sketch", "mesh", "texture", "export")

# Of a request to somebody else.
TRACEPARENT = "00-4bf92f3577b34da6a3ce929d0e0e{number:04x}-00f067aa0ba902b7-01"

provider = TracerProvider()
provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
trace.set_tracer_provider(provider)
tracer = trace.get_tracer("models")


def attributes(model):
    run_id, user_id = model
    return {
        "cicd.pipeline.run.id": run_id,
        "cicd.pipeline.name": "text-to-3d",
        "pipeline.user_id": user_id,
    }


def run(model):
    return tracer.start_as_current_span("run", attributes=attributes(model))


def stage(model, place):
    of_stage = {**attributes(model), "cicd.pipeline.task.name": STAGES[place]}
    return tracer.start_as_current_span(STAGES[place], attributes=of_stage)


def work():
    time.sleep(0.001)


def make(model, places):
    """These stages, all of which succeed."""
    for place in places:
        with stage(model, place) as span:
            work()
            span.set_attribute("pipeline.progress", 25 * (place + 1))


def fail(model, place):
    with stage(model, place):
        work()
        raise ValueError(f"{model[0]}: no {STAGES[place]}")


def give_up(model, place, result):
    """A stage that says itself how it ended."""
    with stage(model, place) as span:
        work()
        span.set_attribute("cicd.pipeline.task.run.result", result)


def make_model(number):
    model = (f"python-{number:02}", f"user-{number % 3}")
    place = number // 10 % 4
    way = number % 10
    if way == 0:
        with run(model):
            make(model, range(4))
    elif way == 1:
        with run(model) as span:
            make(model, range(place))
            give_up(model, place, "timeout")
            span.set_attribute("cicd.pipeline.result", "timeout")
    elif way == 2:
        fail_run(model, place)
    elif way == 3:
        fail_run(model, place)
        with run(model):
            make(model, range(4))
    elif way == 4:
        with run(model):
            make(model, range(place))
            try:
                fail(model, place)
            except ValueError:
                make(model, range(place, 4))
    elif way == 5:
        with run(model) as span:
            make(model, range(place))
            give_up(model, place, "cancellation")
            span.set_attribute("cicd.pipeline.result", "cancellation")
    elif way == 6:
        with run(model):
            make(model, range(place))
            give_up(model, place, "skip")
            make(model, range(place + 1, 4))
    elif way == 7:
        with run(model):
            make(model, range(place + 1))
            provider.force_flush()
            os.kill(os.getpid(), signal.SIGKILL)
    elif way == 8:
        span = tracer.start_span("run", attributes=attributes(model))
        # It is never ended, so it is never sent.
        with trace.use_span(span, end_on_exit=False):
            make(model, range(4))
    else:
        make_across_processes(number, model)


def fail_run(model, place):
    try:
        with run(model):
            make(model, range(place))
            fail(model, place)
    except ValueError:
        pass


def make_across_processes(number, model):
    """Begins below a request to somebody else; the last stage is left to another process."""
    request = extract({"traceparent": TRACEPARENT.format(number=number)})
    message = {}
    token = context.attach(request)
    with run(model):
        make(model, range(3))
        inject(message)
    context.detach(token)

    token = context.attach(extract(message))
    try:
        fail(model, 3)
    except ValueError:
        pass
    context.detach(token)


if __name__ == "__main__":
    first, end = map(int, sys.argv[1:])
    for number in range(first, end):
        make_model(number)
    provider.shutdown()
