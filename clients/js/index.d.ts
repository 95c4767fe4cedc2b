// The types of a Promo Sandbox's client. What the server answers is described in specs/sandbox/admin.yaml.

export type Json = null | boolean | number | string | Json[] | { [member: string]: Json };
export type JsonObject = { [member: string]: Json };

/** Of this client, and of the servers that it can ask. */
export const VERSION: string;

/** What the server refuses, or why it could not be asked. */
export class SandboxError extends Error {
  constructor(detail: string, more?: { status?: number; errors?: Flaw[]; cause?: unknown });
  /** One sentence. */
  readonly detail: string;
  /** 0 where nothing was answered. */
  readonly status: number;
  /** What is wrong with the request, place by place. */
  readonly errors: Flaw[];
}

export interface Flaw {
  detail: string;
  pointer: string;
  line?: number | null;
}

export interface Options {
  /** What the server was started with as `--admin-token`. */
  token?: string;
  /** Milliseconds for one call; 30,000 if not given. */
  timeout?: number;
  fetch?: typeof globalThis.fetch;
}

export interface Version {
  version: string;
  specs: { name: string; title: string; version: string; base: string; operations: number }[];
}

/** A running server. Nothing is asked before the first verb; then the server must be of this version. */
export class Sandbox {
  constructor(url?: string, options?: Options);
  readonly url: string;
  /** The org of this name; without one, a world that nobody else has. */
  org(name?: string): Org;
  version(): Promise<Version>;
  orgs(page?: { limit?: number; after?: string }): Promise<Info[]>;
  scenarios(): Promise<{ name: string; summary: string | null; steps: number; bundled: boolean }[]>;
  coverage(criteria?: { org?: string; vendor?: string }): Promise<Coverage>;
  /** One call of /__admin, for what has no verb here; a text is sent as YAML. `held`: milliseconds granted besides `timeout`. */
  ask(method: string, path: string, body?: unknown, held?: number): Promise<any>;
}

export interface Info {
  name: string;
  now: string;
  frozen: boolean;
  documents: number;
  requests: number;
  /** Of these, how many matched no operation. */
  unmatched: number;
  internal_errors: number;
  /** Steps of the scenario that are owed calls. */
  unmet: number;
  /** Calls that the scenario did not expect. */
  unexpected: number;
  /** Calls that are yet to meet what is armed. */
  armed: number;
}

/** `{vendor: {collection: [object]}}` */
export type Documents = { [vendor: string]: { [collection: string]: object[] } };

export interface TokenOptions {
  tenant?: string;
  customer?: string;
  scopes?: string[];
  claims?: { [claim: string]: string };
  /** Seconds by the org's clock. */
  expiresIn?: number;
}

export interface Criteria {
  operation?: string;
  status?: number;
  rejection?: string;
  rejected?: boolean;
  unmatched?: boolean;
  internal_error?: boolean;
  /** Only those with a greater id. */
  since?: number;
}

export interface Exchange {
  id: number;
  org: string;
  at: string;
  vendor: string | null;
  operation: string | null;
  version: string | null;
  request: { method: string; target: string; headers: [string, string][]; body: string | null; size: number };
  reply: { status: number; headers: [string, string][]; media: string | null; body: string | null; size: number };
  rejection: string | null;
  source: string | null;
  violations: { where: string; message: string; kind: string; spec: string | null }[];
  nearest: { operation: string; method: string; path: string; why: string }[];
  preference: string | null;
  step: number | null;
  unexpected: string | null;
  fault: { delay: number; cut: 'before' | 'after' | 'midway' | null; corrupt: boolean } | null;
  internal_error: string | null;
  changes: { collection: string; id: string; before: JsonObject | null; after: JsonObject | null }[];
  events: Event[];
  microseconds: number;
}

export interface Event {
  at: string;
  event: string;
  payload: JsonObject;
  cause: string;
}

/** What a call meets; one of these, of which only `delay` goes together with another. */
export interface Then {
  reject?: string;
  reply?: { status: number; headers?: { [name: string]: string }; body?: Json; off_contract?: boolean };
  delay?: string | number;
  cut?: 'before' | 'after' | 'midway';
  corrupt?: true;
  [other: string]: unknown;
}

export interface Armed {
  operation: string;
  then: Then;
  times: number;
}

export interface Progress {
  name: string | null;
  summary: string | null;
  otherwise: 'rules' | 'fail';
  current: number | null;
  steps: {
    number: number;
    operation: string | null;
    then: JsonObject;
    times: number | string;
    taken: number;
    by: number[];
    done: boolean;
  }[];
  unmet: number[];
  unexpected: { exchange: number; operation: string | null; why: string }[];
  unexpected_count: number;
}

export interface Part {
  covered: number;
  all: number;
  percent: number;
}

export interface Totals {
  operations: Part;
  statuses: Part;
  rejections: Part;
  callbacks: Part;
  everything: Part;
}

export interface Coverage {
  org: string | null;
  totals: Totals;
  vendors: {
    vendor: string;
    totals: Totals;
    operations: {
      operation: string;
      method: string;
      path: string;
      summary: string;
      count: number;
      statuses: { status: number; count: number }[];
      rejections: { rejection: string; status: number; count: number; source: string; summary: string }[];
    }[];
    callbacks: { callback: string; count: number }[];
  }[];
}

/** One world of a server: its time, its documents, its journal. */
export class Org {
  private constructor();
  readonly name: string;
  readonly clock: Clock;
  readonly webhooks: Webhooks;
  readonly snapshots: Snapshots;
  /**
   * What stands in for scheme and host of a vendor in this org, whatever tenant the client names; with `api`, the name of
   * one of the vendor's specs, the base URL of that one, its path included.
   */
  url(vendor: string, api?: string): Promise<string>;
  /** A bearer token of a vendor, held to exactly what is said here. */
  token(vendor: string, options?: TokenOptions): Promise<string>;
  /** The name, the time, how many documents and requests it keeps, and how much went another way than a test would want. */
  info(): Promise<Info>;
  /** Store objects as if they had always been there, all or none: as they were stored. */
  seed(documents: Documents): Promise<Documents>;
  /** All that is stored, as `putState` takes it. */
  state(): Promise<JsonObject>;
  putState(state: object): Promise<JsonObject>;
  /** As on first use; a scenario begins again. */
  reset(): Promise<void>;
  /** As if it had never been; that it never was is no error. */
  forget(): Promise<void>;
  /** Reset the org and have it follow a scenario: the name of one, a document, or the text of one in YAML. */
  scenario(scenario: string | object): Promise<Progress>;
  progress(): Promise<Progress>;
  endScenario(): Promise<void>;
  /** Have the next calls of an operation meet something: all that is armed. */
  next(operation: string, then: Then, options?: { times?: number }): Promise<Armed[]>;
  armed(): Promise<Armed[]>;
  disarm(): Promise<void>;
  /** Newest first; at most 100, or `limit`. */
  requests(criteria?: Criteria & { limit?: number }): Promise<Exchange[]>;
  /** What a reply's header `Sandbox-Exchange` said. */
  request(id: number | string): Promise<Exchange>;
  /** How many meet all the criteria; `body` is a part of their JSON. */
  count(criteria?: Criteria & { body?: Json }): Promise<number>;
  clearRequests(): Promise<void>;
  /** What subscribers were to be told, oldest first. */
  events(name?: string): Promise<Event[]>;
  /** The org as one document, for `import` of another server. */
  export(): Promise<JsonObject>;
  /** Put an exported org in place of this one. */
  import(document: object): Promise<Info>;
  /** What of the contracts this org has met. */
  coverage(criteria?: { vendor?: string }): Promise<Coverage>;
}

export interface Time {
  now: string;
  frozen: boolean;
}

export interface Occurrence {
  at: string;
  event: string;
  id: string | null;
  notified: string[];
  internal_error: string | null;
}

/** An org's time. */
export interface Clock {
  now(): Promise<Date>;
  /** Set it; whether it stands still stays as it is. */
  set(now: Date | string): Promise<Time>;
  /** Have it stand still, at a moment or where it is. */
  freeze(now?: Date | string): Promise<Time>;
  /** Have it go on from where it is. */
  run(): Promise<Time>;
  /** Let time pass, by seconds or a duration of ISO 8601 (`P30D`), or to a moment: what happened in it. */
  advance(by: number | string | Date | { to: Date | string }): Promise<Occurrence[]>;
}

export interface Snapshot {
  name: string;
  at: string;
  frozen: boolean;
  documents: number;
}

/** What was named to go back to. */
export interface Snapshots {
  list(): Promise<Snapshot[]>;
  take(name: string): Promise<Snapshot>;
  restore(name: string): Promise<Info>;
  drop(name: string): Promise<void>;
}

export interface Webhook {
  id: number;
  at: string;
  event: string;
  cause: string;
  subscription: string;
  url: string;
  payload: JsonObject;
  /** What went over the wire, where trouble made that something else. */
  sent: string | null;
  /** `waiting`, `delivered`, `dead`, `canceled`, `dropped` or `not_allowed`. */
  status: string;
  detail: string | null;
  delivery_fault: Json;
  redelivery_of: number | null;
  attempts: { at: string; status: number | null; milliseconds: number | null; body: string | null; error: string | null }[];
  attempted: number;
  next_attempt: string | null;
}

export interface WebhookCriteria {
  subscription?: string;
  event?: string;
  status?: string;
  /** Only those with a greater id. */
  since?: number;
  limit?: number;
}

/** What an org's subscribers were sent, or would have been. */
export interface Webhooks {
  list(criteria?: WebhookCriteria): Promise<Webhook[]>;
  /** The same as soon as there are `count` of them; throws if there are fewer after `timeout` seconds, 5 if not given. */
  wait(criteria?: WebhookCriteria & { count?: number; timeout?: number }): Promise<Webhook[]>;
  /** Attempt at once what waits for its next attempt. */
  flush(): Promise<{ attempted: number; delivered: number; waiting: number }>;
  /** Send one again: the new one. */
  redeliver(id: number): Promise<Webhook>;
  /** Which beginnings of callback URLs are called elsewhere, `{from: to}`. */
  rewrites(): Promise<{ [from: string]: string }>;
  /** Put these in place of all there are. */
  rewrite(rewrites: { [from: string]: string }): Promise<{ [from: string]: string }>;
}
