/** The metrics of /metrics: the one list of names, from which the meters, the table in the docs and the tests of the chart are made. */
import { faultCauses } from '../domain/fault-cause.ts';

export type Metric = {
  readonly kind: 'counter' | 'gauge' | 'histogram';
  /** The values of labels come from closed sets: lanes, states, the transports of the plan, routes as patterns. Never an id or an address. */
  readonly labels: readonly string[];
  readonly help: string;
  /** Upper bounds of a histogram, in seconds. */
  readonly buckets?: readonly number[];
};

const quick = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30] as const;
/** For waits of mail, which may take hours: for a server that is away, a quota, a retry. */
const patient = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1_800, 7_200, 43_200] as const;
/** A server may take ten minutes for its last answer (RFC 5321 section 4.5.3.2.6). */
const smtp = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 120, 600] as const;

export const metrics = {
  postrider_accepted_emails_total: {
    kind: 'counter',
    labels: ['lane'],
    help: 'Emails that were answered 202 and are stored; a repeat under its Idempotency-Key counts once.',
  },
  postrider_refused_requests_total: {
    kind: 'counter',
    labels: ['reason', 'takes_mail'],
    help: 'Requests that were answered with a problem, by its name, and whether they would have brought mail (`true` or `false`); of 503, `back_pressure` (too much waits, Redis is nearly full or does not meet `REQUIRE_DURABLE_REDIS`, or large requests are in hand) and `redis_away` have names of their own.',
  },
  postrider_taking_mail: {
    kind: 'gauge',
    labels: ['lane'],
    help: '1 while this process takes new mail of the lane, 0 while it answers 503: too much of it waits, or Redis is nearly full, is away, takes no writes or does not meet `REQUIRE_DURABLE_REDIS`. Only of a process with the API.',
  },
  postrider_recipients_total: {
    kind: 'counter',
    labels: ['lane', 'status'],
    help: 'Recipients that came into a state: the ledger. What `scheduled` and `queued` took in at accept, or of a campaign when it began or was canceled before, is what the final states give out in the end, but for what a process did not live to count, and for what Redis stored with the answer lost (answered 503), which comes into its final state alone.',
  },
  postrider_waiting_emails: {
    kind: 'gauge',
    labels: ['lane'],
    help: 'Emails that wait in the whole fleet: due, deferred or parked, but not scheduled for later. A job in the queue counts as one. In `bulk` also the recipients of running campaigns who were not tried yet; those of paused ones do not wait.',
  },
  postrider_oldest_waiting_seconds: {
    kind: 'gauge',
    labels: ['lane'],
    help: 'For how long the email has been due that has waited longest, in the whole fleet; parked ones too, but none that is scheduled, deferred to later or waiting for a file. In `bulk` also for how long nothing of a running campaign has moved that has somebody left, longer than its own rate explains: one that moves is not old, however long it takes. 0 when none waits.',
  },
  postrider_parked_emails: {
    kind: 'gauge',
    labels: ['transport', 'lane'],
    help: 'Emails that are due while no transport of their route can take them, by the one they wait for, in the whole fleet.',
  },
  postrider_queue_wait_seconds: {
    kind: 'histogram',
    labels: ['lane'],
    help: 'From when an email was due to when a server was spoken to about it: queue, rates and connections. Recipients of campaigns are not in it before they are tried again: their wait tells how large the campaign is.',
    buckets: patient,
  },
  postrider_accept_to_sent_seconds: {
    kind: 'histogram',
    labels: ['lane'],
    help: 'From accept, or the time it was scheduled for, to the 250 of the next hop. Recipients of campaigns whose first try went well are not in it.',
    buckets: patient,
  },
  postrider_smtp_phase_seconds: {
    kind: 'histogram',
    labels: ['transport', 'phase'],
    help: 'What each phase of an attempt took: `connect` (with TLS and login, where it opened the connection), `envelope`, `body` (to the last reply).',
    buckets: smtp,
  },
  postrider_attempts_total: {
    kind: 'counter',
    labels: ['transport', 'outcome'],
    help: 'Attempts at an email: `sent` to at least one recipient, else `deferred` or `bounced`; `unknown`, `transport_fault` (nobody’s attempt is burnt) or `undeliverable`. A message that could not be made is no attempt at a transport, nor is a file that could not be fetched: that is in `postrider_file_fetches_total` alone.',
  },
  postrider_file_fetches_total: {
    kind: 'counter',
    labels: ['lane', 'outcome'],
    help: 'Fetches of files given by `path`: `fetched`, `fault` (it counts as one of five tries of the email) or `put_off` (it found no place or no room in time, its server closed after it had waited for room, the email expired, or the process stopped).',
  },
  postrider_pool_connections: {
    kind: 'gauge',
    labels: ['transport', 'state'],
    help: 'SMTP connections of this process that are logged in: `busy` with a message, or `idle`.',
  },
  postrider_breaker_open: {
    kind: 'gauge',
    labels: ['transport'],
    help: `1 while a transport is out of service, by whichever cause: ${faultCauses.map((cause) => `\`${cause}\``).join(', ')}.`,
  },
  postrider_transport_paused: {
    kind: 'gauge',
    labels: ['transport'],
    help: '1 while a transport is paused by hand.',
  },
  postrider_webhook_posts_total: {
    kind: 'counter',
    labels: ['outcome'],
    help: 'POSTs to webhook endpoints: `delivered` (2xx), `refused` (any other answer) or `unanswered`.',
  },
  postrider_webhook_post_seconds: {
    kind: 'histogram',
    labels: [],
    help: 'What a POST to a webhook endpoint took.',
    buckets: quick,
  },
  postrider_webhook_waiting_events: {
    kind: 'gauge',
    labels: [],
    help: 'Events that wait to be posted to an endpoint, in the whole fleet; one that waits for two endpoints counts twice.',
  },
  postrider_webhook_oldest_waiting_seconds: {
    kind: 'gauge',
    labels: [],
    help: 'For how long an endpoint was not told of an event, in the whole fleet: since it was due; where a POST of it failed and it is tried again later, since it was due for its first try, or for the first since it was replayed; of an endpoint that is down, since its first POST in a row failed. 0 when none waits.',
  },
  postrider_outbox_unnotified_events: {
    kind: 'gauge',
    labels: [],
    help: 'Events that are stored and were not yet handed to the endpoints that want them, in the whole fleet.',
  },
  postrider_redis_memory_bytes: {
    kind: 'gauge',
    labels: [],
    help: 'Memory that Redis uses (`used_memory`).',
  },
  postrider_http_requests_total: {
    kind: 'counter',
    labels: ['route', 'method', 'status'],
    help: 'Requests that were answered; the route is its pattern, or `unknown`. Not what is no HTTP as it should be or has too large a head, which is answered 400 and counted nowhere.',
  },
  postrider_http_request_seconds: {
    kind: 'histogram',
    labels: ['route'],
    help: 'From the head of a request to the end of its answer; a live event stream counts when it ends.',
    buckets: quick,
  },
  postrider_transports_file_wrong: {
    kind: 'gauge',
    labels: [],
    help: '1 while `TRANSPORTS_FILE` is wrong, and this process goes on with what stood in it before.',
  },
  postrider_log_lines_dropped_total: {
    kind: 'counter',
    labels: [],
    help: 'Lines of the log that could not be written to stdout: its disk is full, nobody reads it, or too slowly. The work they tell of is done all the same.',
  },
  postrider_clock_difference_seconds: {
    kind: 'gauge',
    labels: [],
    help: 'By how much the clock of the machine is ahead of that of Redis, by which all goes; less than 0 when it is behind.',
  },
  postrider_redis_up: {
    kind: 'gauge',
    labels: [],
    help: '1 while Redis answers. While it does not, what it would tell is left out.',
  },
} as const satisfies Readonly<Record<string, Metric>>;

export type MetricName = keyof typeof metrics;

/** The table of metrics in the documents. */
export function metricsTable(): string {
  const rows = Object.entries(metrics).map(([name, { kind, labels, help }]: [string, Metric]) => {
    const listed = labels.map((label) => `\`${label}\``).join(', ');
    return `| \`${name}\` | ${kind} | ${listed} | ${help} |`;
  });
  return ['| metric | kind | labels | what it tells |', '|---|---|---|---|', ...rows].join('\n');
}

/** The names of the metrics of a kind. */
export type NamesOf<Kind extends Metric['kind']> = {
  [Name in MetricName]: (typeof metrics)[Name]['kind'] extends Kind ? Name : never;
}[MetricName];
