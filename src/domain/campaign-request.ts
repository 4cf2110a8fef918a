/** The bodies of `/v1/campaigns`: all rules in one place, so that all faults are named at once, and how a request becomes a campaign. */
import { z } from 'zod';
import { type CampaignContent, type CampaignHead, type TakenField, takenFields } from './campaign.ts';
import { onUnknownPolicies } from './email.ts';
import { mailbox, mailboxes, maxReplyTo, metadata, tags } from './email-fields.ts';
import { headers, isMessageId } from './email-headers.ts';
import { aheadRule, hasWayOut, noWayOut, type RequestLimits, routeFor } from './email-request.ts';
import { nullLeavesOut, nullNote } from './null-leaves-out.ts';
import { parseRates, type Rate } from './rate.ts';
import { type Rule, withRules } from './rule.ts';
import { sendTime, sendTimeWords } from './send-time.ts';
import { changeContent, hasBody, makeContent, type TemplateFault, type TemplateUse } from './template.ts';
import { type CheckSource, orNull, partsFor, templateName, templateOfEmail } from './template-request.ts';

export type CampaignLimits = Pick<RequestLimits, 'routes' | 'canUnsubscribe' | 'now'>;

const rate = z
  .string()
  .transform((text, context): Rate => {
    const rates = parseRates(text);
    const [one, another] = 'faults' in rates ? [] : rates;
    if (one !== undefined && another === undefined) return one;
    for (const message of 'faults' in rates ? rates.faults : ['must be one rate, such as 14/s'])
      context.addIssue({ code: 'custom', message });
    return z.NEVER;
  })
  .meta({
    description:
      'How many of its messages all workers together may send: `14/s`, `500/m`, `5000/h` or `50000/d`. The default is as fast as the transports allow.',
    examples: ['100/s'],
  });

const ownHeaders = headers.refine(
  (given) => !Object.keys(given).some(isMessageId),
  'must not have a Message-ID: every recipient has one of its own',
);

/** All fields, each still optional. */
function fieldsFor(limits: CampaignLimits, check: CheckSource) {
  const parts = partsFor(check);
  return {
    name: templateName.meta({
      description: 'Your name for it. The default is the subject.',
      examples: ['News of December'],
    }),
    from: mailbox.meta({ description: "The sender. With `template`, the default is the template's sender." }),
    reply_to: mailboxes(maxReplyTo, 'Where replies go. The default is `from`.'),
    subject: parts.subject.meta({
      description: "The subject line, in Liquid. With `template`, it replaces the template's.",
      examples: ['News for {{ name }}'],
    }),
    html: parts.html,
    text: parts.text,
    preheader: parts.preheader,
    missing: parts.missing.meta({
      description:
        'How a missing variable is treated. `strict` (default): the recipient is not sent to and ends as `failed`, with the reason. `lenient`: the variable is rendered as nothing.',
    }),
    variables: parts.variables,
    template: templateOfEmail.meta({
      description:
        'A template to copy the content from, instead of giving `html` and `text`. Its `variables` are values for variables that a recipient does not have.',
    }),
    headers: ownHeaders,
    tags: tags.meta({
      description: 'Labels of all its emails. No two may have the same name. Every event of an email contains them.',
    }),
    metadata,
    route: routeFor(limits),
    rate,
    on_unknown: z.enum(onUnknownPolicies).meta({
      description:
        'What to do when a crash leaves it unknown whether a message was handed over: `retry` (the default) or `hold`, as for an email.',
    }),
    scheduled_at: sendTime(limits).meta({
      description: `When the campaign starts after \`POST …/send\`: ${sendTimeWords}.`,
      examples: ['2026-12-07T09:00:00Z'],
    }),
  };
}

const required = (name: string): Rule => ({
  path: name,
  message: 'is required',
  holds: (given) => name in given || given.template !== undefined,
});

const notWithTemplate: readonly Rule[] = ['html', 'text', 'preheader', 'missing', 'variables'].map((path) => ({
  path,
  message: 'must not be given together with template',
  holds: (given) => (given[path] ?? undefined) === undefined || (given.template ?? undefined) === undefined,
}));

const needsBody: Rule = {
  path: 'html',
  message: 'html or text is required',
  holds: ({ html, text, template }) => (html ?? '') !== '' || text !== undefined || template !== undefined,
};

export function campaignRequestFor(limits: CampaignLimits, check: CheckSource) {
  const wayOut: Rule = { path: 'headers', message: noWayOut, holds: (given) => hasWayOut(limits, given.headers) };
  const schema = withRules(z.strictObject(fieldsFor(limits, check)).partial(), [
    ...[required('from'), required('subject'), needsBody],
    ...notWithTemplate,
    ...[aheadRule(limits), wayOut],
  ]);
  return nullLeavesOut(schema).meta({ id: 'CampaignRequest', description: `A campaign to create. ${nullNote}` });
}

type CampaignRequest = z.output<ReturnType<typeof campaignRequestFor>>;

/** Null removes a field. */
export function campaignChangesFor(limits: CampaignLimits, check: CheckSource) {
  const { reply_to, html, text, preheader, variables, headers, tags, metadata, route, rate, scheduled_at, ...needed } =
    fieldsFor(limits, check);
  const schema = z.strictObject({
    ...z.strictObject(needed).partial().shape,
    reply_to: orNull(reply_to),
    html: orNull(html),
    text: orNull(text),
    preheader: orNull(preheader),
    variables: orNull(variables),
    headers: orNull(headers),
    tags: orNull(tags),
    metadata: orNull(metadata),
    route: orNull(route),
    rate: orNull(rate),
    scheduled_at: orNull(scheduled_at),
  });
  return withRules(schema, [...notWithTemplate, aheadRule(limits)]).meta({
    id: 'CampaignChanges',
    description: 'The fields to change. Null removes a field.',
  });
}

type CampaignChanges = z.output<ReturnType<typeof campaignChangesFor>>;

/** `POST /v1/campaigns/:id/send`. */
export function sendRequestFor(limits: Pick<CampaignLimits, 'now'>) {
  const schema = z.strictObject({
    scheduled_at: z
      .union([z.null(), sendTime(limits)])
      .optional()
      .meta({
        description: `When to start: ${sendTimeWords}. Null, or a time in the past, means now. The default is the \`scheduled_at\` of the campaign, or now if it has none.`,
      }),
  });
  // A missing body reaches the schema as null.
  return withRules(schema, [aheadRule(limits)])
    .meta({ id: 'CampaignSendRequest', description: 'When to start. Optional.' })
    .nullish();
}

/** A campaign that was not sent yet. */
export type Draft = {
  readonly head: CampaignHead;
  readonly content: CampaignContent;
  /** Milliseconds since the epoch. */
  readonly scheduledAt: number | null;
};

/** The version that was requested, and its content. */
export type DraftTemplate = { readonly use: TemplateUse; readonly content: CampaignContent };

type Faulty = { readonly faults: readonly TemplateFault[] };

/** @param template the template that the request names; null when it names none */
export function makeDraft(
  request: CampaignRequest,
  template: DraftTemplate | null,
  given: { readonly id: string; readonly now: number; readonly keyId: string },
): Draft | Faulty {
  const content = contentOf(request, template);
  const from = request.from ?? content.from;
  const { subject } = content;
  if (from === null || subject === null) return lacking({ from, subject });
  const taken = takenFields.filter((name) => request[name] === undefined);
  const head: CampaignHead = {
    id: given.id,
    createdAt: given.now,
    keyId: given.keyId,
    name: request.name ?? nameFor(subject),
    taken,
    from,
    replyTo: request.reply_to ?? content.replyTo,
    subject,
    template: template?.use ?? null,
    headers: request.headers ?? {},
    tags: request.tags ?? [],
    metadata: request.metadata ?? null,
    route: request.route ?? null,
    onUnknown: request.on_unknown ?? 'retry',
    rate: request.rate ?? null,
  };
  return { head, content, scheduledAt: request.scheduled_at ?? null };
}

/** Each of these is named in a change, so that no field of a request is taken and then forgotten. */
type Changeable = Required<Omit<CampaignHead, 'id' | 'createdAt' | 'keyId' | 'revision'>>;

/**
 * Fields left out of a change stay. Another template replaces the content, and those fields that were taken from the template before. After a
 * change to parts copied from a template, the campaign names no template.
 */
export function changeDraft(
  was: Draft,
  changes: CampaignChanges,
  template: DraftTemplate | null,
  limits: CampaignLimits,
): Draft | Faulty {
  const content = template === null ? changeContent(was.content, partsIn(changes)) : contentOf(changes, template);
  if (!hasBody(content)) return { faults: [fault('html', 'custom', 'html or text is required')] };
  const { head } = was;
  const taken = (head.taken ?? []).filter((name) => changes[name] === undefined);
  const isReplaced = (name: TakenField) => template !== null && taken.includes(name);
  const from = changes.from ?? (isReplaced('from') ? content.from : head.from);
  const subject = changes.subject ?? (isReplaced('subject') ? content.subject : head.subject);
  if (from === null || subject === null) return lacking({ from, subject });
  const asked: Changeable = {
    name: changes.name ?? (isReplaced('name') ? nameFor(subject) : head.name),
    from,
    subject,
    taken,
    replyTo: pick(changes.reply_to, isReplaced('reply_to') ? content.replyTo : head.replyTo, []),
    headers: pick(changes.headers, head.headers, {}),
    tags: pick(changes.tags, head.tags, []),
    metadata: pick(changes.metadata, head.metadata, null),
    route: pick(changes.route, head.route, null),
    rate: pick(changes.rate, head.rate, null),
    onUnknown: changes.on_unknown ?? head.onUnknown,
    template: template?.use ?? (changesParts(changes) ? null : head.template),
  };
  const changed: CampaignHead = { ...head, ...asked };
  if (!hasWayOut(limits, changed.headers)) return { faults: [fault('headers', 'custom', noWayOut)] };
  const scheduledAt = pick(changes.scheduled_at, was.scheduledAt, null);
  return { head: changed, content: { ...content, subject }, scheduledAt };
}

function contentOf(request: CampaignRequest | CampaignChanges, template: DraftTemplate | null): CampaignContent {
  if (template === null) return makeContent(partsIn(request as CampaignRequest));
  const defaults = request.template?.variables;
  const own = request.subject === undefined ? {} : { subject: request.subject };
  return { ...template.content, ...own, ...(defaults === undefined ? {} : { defaults }) };
}

const partNames = ['html', 'text', 'preheader', 'missing', 'variables'] as const;

/** The content in a request. */
function partsIn<Request extends CampaignRequest | CampaignChanges>(request: Request) {
  const { subject, html, text, preheader, missing, variables } = request;
  const given = Object.entries({ subject, html, text, preheader, missing, variables });
  return Object.fromEntries(given.filter(([, value]) => value !== undefined)) as Pick<
    Request,
    'subject' | (typeof partNames)[number]
  >;
}

/** Variables that would have another declared type. Recipients were read by the types declared when they were uploaded. */
export function retypedBy(was: Pick<Draft, 'content'>, is: Pick<Draft, 'content'>): string[] {
  const before = new Map(was.content.variables.map(({ key, type }) => [key, type]));
  return is.content.variables.filter(({ key, type }) => before.get(key) !== type).map(({ key }) => key);
}

function changesParts(changes: CampaignChanges): boolean {
  return partNames.some((name) => changes[name] !== undefined);
}

function pick<T>(change: T | null | undefined, was: T, none: T): T {
  return change === undefined ? was : (change ?? none);
}

/** Cut to the length that a name may have. */
function nameFor(subject: string): string {
  return subject.slice(0, 200).toWellFormed();
}

function lacking(parts: Readonly<Record<string, unknown>>): Faulty {
  const missing = Object.keys(parts).filter((name) => parts[name] === null);
  return { faults: missing.map((name) => fault(name, 'required', 'is required: its template has none')) };
}

function fault(name: string, code: string, message: string): TemplateFault {
  return { path: [name], code, message };
}
