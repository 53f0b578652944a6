// What an application does with examples/redspan.ts, beside a redspan at the URL that is given.
import assert from "node:assert/strict";
import { createServer as createWebServer } from "node:http";
import { createServer } from "node:net";

import { ApiErrorRepository, GenerationPipelineRepository } from "./redspan.mjs";

const url = process.argv[2];
const failures = [];
const options = { url, actor: "shop", onError: (failure) => failures.push(failure) };
const errors = new ApiErrorRepository(options);
const pipelines = new GenerationPipelineRepository(options);
const unknown = "00000000-0000-4000-8000-000000000000";
const refused = {
  endpoint: "/orders/{id}/pay",
  method: "POST",
  errorMessage: "the card was refused",
  severity: "warning",
  userId: "ada",
  serviceName: "shop",
  tags: ["eu"],
  createdAt: new Date(),
};

async function logsAndReads() {
  const logged = await errors.logError(refused);
  assert.equal(logged.errorMessage, "the card was refused");
  // An answer that was lost is asked for again: it stays one row.
  assert.equal((await errors.logError({ ...refused, id: logged.id })).id, logged.id);
  const both = await errors.logErrors([
    { ...refused, severity: "error" },
    { ...refused, severity: "critical", userId: "bob" },
  ]);
  assert.equal(both.length, 2);
  assert.equal(await errors.countErrors(), 3);
  assert.equal(await errors.countErrors({ severity: ["error", "critical"] }), 2);
  const page = await errors.getErrors({ userId: "ada", from: new Date(0) }, { limit: 1 });
  assert.equal(page.items.length, 1);
  const rest = await errors.getErrors({ userId: "ada", from: new Date(0) }, { cursor: page.nextCursor });
  assert.equal(rest.nextCursor, null);
  assert.equal((await errors.getErrorById(logged.id)).userId, "ada");
  assert.equal(await errors.getErrorById(unknown), null);
  const stats = await errors.getErrorStats({ serviceName: "shop" });
  assert.deepEqual([stats.total, stats.uniqueUsers, stats.unresolved], [3, 2, 3]);
  const hours = await errors.getAggregations({ endpoint: "/orders/{id}/pay" });
  assert.equal(hours.items.reduce((sum, hour) => sum + hour.totalErrors, 0), 3);
  return logged;
}

async function changesErrors(logged) {
  const resolved = await errors.resolveError(logged.id, "ada", "another card");
  assert.deepEqual([resolved.resolvedBy, resolved.resolution], ["ada", "another card"]);
  assert.equal((await errors.reopenError(logged.id)).resolved, false);
  assert.notEqual((await errors.deleteError(logged.id)).deletedAt, null);
  assert.equal(await errors.countErrors(), 2);
  assert.equal((await errors.restoreError(logged.id)).deletedAt, null);
  assert.equal(await errors.resolveError(unknown, "ada"), null);

  const { fingerprint } = logged;
  assert.equal((await errors.getGroups({ serviceName: "shop" })).items.length, 1);
  assert.equal((await errors.resolveGroup(fingerprint, "ada", "fixed", "2.0")).status, "resolved");
  assert.equal((await errors.reopenGroup(fingerprint)).status, "open");
  assert.equal((await errors.ignoreGroup(fingerprint)).status, "ignored");
  assert.equal((await errors.getGroup(fingerprint)).totalErrors, 3);
  assert.equal(await errors.getGroup("1:none"), null);
}

async function followsRuns() {
  const run = { userId: "ada", config: { type: "text-to-3d" }, meshyTaskId: "meshy-1" };
  const created = await pipelines.createWithStages({ ...run, id: "pipeline-123" }, [
    { stageName: "sketch" },
    { stageName: "mesh" },
  ]);
  assert.deepEqual(created.stages.map((stage) => stage.stageName), ["sketch", "mesh"]);
  const { id } = created;
  assert.equal((await pipelines.updateStatus(id, "processing")).status, "processing");
  const moved = await pipelines.updateProgress(id, 40, "mesh");
  assert.deepEqual([moved.progress, moved.currentStage], [40, "mesh"]);
  assert.equal((await pipelines.updateStage(id, "mesh", { status: "processing" })).status, "processing");
  assert.equal((await pipelines.update(id, { results: { preview: "a.png" } })).results.preview, "a.png");
  assert.equal((await pipelines.updateStatus(id, "completed")).progress, 100);

  const failed = await pipelines.create({ ...run, meshyTaskId: "meshy-2" });
  await pipelines.updateStatus(failed.id, "processing");
  const ended = await pipelines.updateStatus(failed.id, "failed", "no answer", "mesh", { code: 503 });
  assert.deepEqual([ended.errorStage, ended.errorDetails.code], ["mesh", 503]);
  assert.equal((await pipelines.createMany([{ config: {} }, { config: {} }])).length, 2);

  assert.equal((await pipelines.findWithStages(id)).stages.length, 2);
  assert.equal((await pipelines.findById(failed.id)).status, "failed");
  assert.equal(await pipelines.findById("none"), null);
  assert.equal((await pipelines.findByUserId("ada", { status: "failed" })).items.length, 1);
  assert.equal((await pipelines.findByStatus(["completed", "failed"])).items.length, 2);
  assert.equal((await pipelines.findByMeshyTaskId("meshy-2")).id, failed.id);
  assert.equal(await pipelines.findByMeshyTaskId("meshy-3"), null);
  assert.equal(await pipelines.count(), 4);
  assert.equal(await pipelines.exists(id), true);
  assert.equal(await pipelines.exists("none"), false);
  // An id that is not known makes one, as when it is not given.
  assert.match((await pipelines.create({ ...run, userId: "eve", id: undefined })).id, /^[0-9a-f-]{36}$/);
  const figures = await pipelines.getStatistics({ userId: "ada" });
  assert.deepEqual([figures.total, figures.successRate], [2, 50]);
  assert.notEqual((await pipelines.delete(failed.id)).deletedAt, null);
  assert.equal((await pipelines.restore(failed.id)).deletedAt, null);
  assert.equal(await pipelines.cleanupOldPipelines(new Date(0)), 0);
}

/** The last failure, which the next does not see. */
function told() {
  assert.equal(failures.length, 1, JSON.stringify(failures));
  return failures.pop();
}

async function neverThrows() {
  assert.equal(await errors.logError({ ...refused, statusCode: "teapot" }), null);
  assert.deepEqual(told().fields.map((it) => it.field), ["statusCode"]);
  assert.equal(await pipelines.updateStatus("pipeline-123", "processing"), null);
  assert.equal(told().status, 409);
  // What cannot be sent at all.
  const loop = {};
  loop.self = loop;
  assert.equal(await errors.logError({ ...refused, context: loop }), null);
  assert.equal(await errors.getErrors({ from: new Date("never") }), null);
  assert.equal(await errors.logErrors(undefined), null);
  assert.equal(failures.splice(0).length, 3);
  assert.equal(await pipelines.findById("half of a character: \ud83d"), null);
  failures.splice(0);

  // Nobody there, and somebody who never answers.
  const silent = createServer().listen(0, "127.0.0.1");
  await new Promise((listens) => silent.once("listening", listens));
  const place = `http://127.0.0.1:${silent.address().port}`;
  const hanging = new ApiErrorRepository({ ...options, url: place });
  const before = performance.now();
  assert.equal(await hanging.logError(refused), null);
  const waited = performance.now() - before;
  assert.ok(waited > 900 && waited < 5_000, `${waited} ms`);
  assert.match(told().message, /Timeout/);
  // What deletes much may take its time: longer than a call that begins later and is given up.
  const waiting = [];
  const slow = createWebServer((request, response) => waiting.push(response));
  await new Promise((listens) => slow.listen(0, "127.0.0.1", listens));
  const patient = { ...options, url: `http://127.0.0.1:${slow.address().port}` };
  const deletions = Promise.all([
    new ApiErrorRepository(patient).deleteOldErrors(new Date(0)),
    new ApiErrorRepository(patient).forgetUser("ada"),
    new GenerationPipelineRepository(patient).cleanupOldPipelines(new Date(0)),
  ]);
  assert.equal(await new ApiErrorRepository(patient).countErrors(), null);
  assert.match(told().message, /Timeout/);
  const answer = JSON.stringify({ deleted: 7, errors: 1, pipelines: 2 });
  for (const response of waiting) response.end(answer);
  assert.deepEqual(await deletions, [7, { deleted: 7, errors: 1, pipelines: 2 }, 7]);
  const hurried = new ApiErrorRepository({ ...patient, longTimeoutMs: 1 });
  assert.equal(await hurried.deleteOldErrors(new Date(0)), null);
  assert.match(told().message, /Timeout/);
  slow.closeAllConnections();
  slow.close();

  // Somebody else's address: nothing is there that could not be there.
  for (const elsewhere of [`${url}/elsewhere`, `${url}/api/v1`]) {
    const lost = new GenerationPipelineRepository({ ...options, url: elsewhere });
    assert.equal(await lost.findById("pipeline-123"), null);
    assert.equal(told().status, 404);
    assert.equal(await lost.exists("pipeline-123"), null);
    assert.equal(told().status, 404);
  }
  silent.close();
  silent.closeAllConnections?.();
  const angry = new ApiErrorRepository({
    url: "http://127.0.0.1:1",
    onError: () => {
      throw new Error("a hook that fails");
    },
  });
  assert.equal(await angry.logError(refused), null);
  assert.equal(await new ApiErrorRepository({ url: "http://127.0.0.1:1" }).countErrors(), null);
}

const logged = await logsAndReads();
await changesErrors(logged);
await followsRuns();
assert.deepEqual(failures, []);
await neverThrows();
assert.deepEqual(await errors.forgetUser("ada"), { errors: 2, pipelines: 2 });
assert.equal(await errors.forgetUser("ada"), null);
assert.equal(await errors.deleteOldErrors(new Date(Date.now() + 60_000), true), 3);
assert.equal(await errors.countErrors(), 0);
assert.deepEqual(failures, []);
process.exit(0);
