/** How request bodies are read: JSON in UTF-8, plain or packed with gzip, and nothing else. Upload routes take lists of records as well. */
import type { Readable } from 'node:stream';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { z } from 'zod';
import { type BodyPlace, countBody, makeBodyRoom, smallBodyBytes, type UsedUp } from './body-room.ts';
import { gunzipBody } from './gunzip.ts';
import { readJson } from './json.ts';
import { notJsonDetail, ProblemError, tooLarge } from './problems.ts';
import { lineTypes, type RecordType, recordTypes } from './records.ts';
import { asksToContinue } from './request-heads.ts';

declare module 'fastify' {
  interface FastifyRequest {
    /** The place of a body that is read whole; null when there is no such body. */
    bodyPlace: BodyPlace | null;
  }
  interface FastifyContextConfig {
    /** An upload route: takes any number of records of these types. Its `body` is the stream of what comes in. */
    takesRecords?: readonly RecordType[];
    /** The body has no meaning, whatever its type, and is not read: a parser of this scope for any type drops it. */
    ignoresBody?: boolean;
  }
}

/** Bodies of these methods have no meaning (RFC 9110 section 9.3) and are not read. */
export const bodyless: ReadonlySet<string> = new Set(['GET', 'HEAD']);

/**
 * Sets up the reading of bodies on every route of `app`.
 * @param roomBytes of large bodies in memory at once; uploads that are streamed do not count
 */
export function readBodies(app: FastifyInstance, roomBytes: number): void {
  const room = makeBodyRoom(roomBytes);
  app.decorateRequest('bodyPlace', null);
  app.removeContentTypeParser(['application/json', 'text/plain']);
  app.addContentTypeParser('application/json', { parseAs: 'buffer' }, (request, body: Buffer, done) => {
    // SDKs send POST and DELETE with this content type and no body.
    if (body.length === 0) return done(null, undefined);
    if (!isOneOf(jsonAlone, request.raw.headers['content-type']))
      return done(new ProblemError('unsupported_media_type', notJsonDetail));
    const read = readJson(body);
    if ('fault' in read) done(new ProblemError('unreadable_request', read.fault));
    else done(null, read.value);
  });

  app.addContentTypeParser([...lineTypes], (_request, payload, done) => done(null, payload));

  app.addHook('preParsing', (request, reply, payload, done) => {
    const { config } = request.routeOptions;
    if (!config.ignoresBody && !hasBody(request)) {
      // Many clients name a type, such as that of a form, although they send nothing.
      if (request.headers['content-type'] !== undefined) parseAs(request, 'application/json');
      return done(null, payload);
    }
    if (request.is404 || config.ignoresBody) {
      parseAs(request, ignoredType);
      return done(null, payload);
    }
    chooseParser(request, reply);
    if (!takesRecords(request)) request.bodyPlace = room.enter(lengthOf(request) > smallBodyBytes, rootOf(request));
    const coding = codingOf(request, reply);
    checkLength(request);
    if (asksToContinue(request.raw)) reply.raw.writeContinue();
    done(null, coding === 'gzip' ? unpackedBody(request, payload) : plainBody(request, payload));
  });

  // Runs also for a request that was cut off, whose answer nobody reads: it must give back its room too.
  app.addHook('onSend', (request, _reply, _payload, done) => {
    request.bodyPlace?.leave();
    done();
  });

  app.addHook('preValidation', (request, _reply, done) => {
    if (request.body !== undefined || !needsBody(request)) return done();
    const fault = { pointer: '', code: 'required', message: 'a JSON body is required' };
    done(new ProblemError('validation_error', 'A JSON body is required', { faults: [fault] }));
  });
}

/** Has fastify read the body with the parser for `type`. The assignment only adds a header: fastify keeps all others. */
function parseAs(request: FastifyRequest, type: string): void {
  request.headers = { 'content-type': type };
}

/** @throws ProblemError when the body has none of the types that its route takes */
function chooseParser(request: FastifyRequest, reply: FastifyReply): void {
  const types = request.routeOptions.config.takesRecords ?? jsonAlone;
  // A chunked body may turn out to be empty, whatever its type. That is known only after it was read.
  if (mayBeEmpty(request)) parseAs(request, 'application/json');
  else if (!isOneOf(types, request.headers['content-type'])) {
    reply.header('accept', types.join(', '));
    const detail = types === jsonAlone ? notJsonDetail : `Send the body as ${types.join(' or ')} in UTF-8`;
    throw new ProblemError('unsupported_media_type', detail);
  }
  // An upload route reads its body as a stream, also one in JSON. Every other route gets a JSON body that is read whole.
  if (takesRecords(request)) parseAs(request, lineTypes[0]);
}

/** @throws ProblemError when the body is packed in a way that is not taken */
function codingOf(request: FastifyRequest, reply: FastifyReply): 'gzip' | 'identity' {
  const codings = codingsIn(request.headers['content-encoding']);
  if (codings.length === 0) return 'identity';
  if (isGzip(codings)) return 'gzip';
  reply.header('accept-encoding', 'gzip, identity');
  const detail = 'Send the body as it is or packed once, with Content-Encoding: gzip';
  throw new ProblemError('unsupported_media_type', detail);
}

/** @throws ProblemError before the body is asked for, when its Content-Length is over the limit of the route or there is no room for it */
function checkLength(request: FastifyRequest): void {
  const { bodyPlace, routeOptions } = request;
  const length = lengthOf(request);
  if (bodyPlace === null) return;
  if (length > routeOptions.bodyLimit) throw tooLarge(routeOptions.bodyLimit);
  refuseIf(bodyPlace.lacks(length), request, length);
}

function plainBody(request: FastifyRequest, payload: Readable): Readable {
  const { bodyLimit } = request.routeOptions;
  // Fastify refuses a body that grows over the limit of its route and stops reading it, so that needs no room.
  if (request.bodyPlace !== null) countBody(payload, (bytes) => bytes > bodyLimit || takeRoom(request, bytes));
  return payload;
}

function unpackedBody(request: FastifyRequest, payload: Readable): Readable {
  return gunzipBody(payload, request.routeOptions.bodyLimit, (bytes) => takeRoom(request, bytes));
}

/**
 * Takes room for a body as it comes in, and again for a batch that is longer with its base written out, and for letters made of templates.
 * @throws ProblemError when too many bytes of bodies are in memory
 */
export function takeRoom(request: FastifyRequest, bytes: number): void {
  refuseIf(request.bodyPlace?.grow(bytes) ?? null, request, bytes);
}

/** @throws ProblemError when something is used up */
function refuseIf(usedUp: UsedUp | null, request: FastifyRequest, bytes: number): void {
  if (usedUp === null) return;
  const isLarge = Math.max(bytes, lengthOf(request)) > smallBodyBytes;
  const requests = isLarge ? 'large requests' : 'requests';
  const what = {
    room: `Too many ${requests} are in hand here for another`,
    share: `This key, with those it made and that made it, has too many ${requests} in hand here for another`,
  }[usedUp];
  throw ProblemError.ofBackPressure(`${what} (API_BODY_BYTES). Try again${isLarge ? '; small ones are taken' : ''}`);
}

/** By what the share of a request is counted. On open routes there is no key. */
function rootOf({ apiKey }: Partial<Pick<FastifyRequest, 'apiKey'>>): string {
  return apiKey?.rootId ?? '';
}

/** The length in bytes as sent, which may be packed; 0 when the request does not say. */
function lengthOf({ headers }: FastifyRequest): number {
  return Number(headers['content-length'] ?? 0);
}

/** A request has a body when one of these headers is there (RFC 9112 section 6). */
function hasBody({ method, headers }: FastifyRequest): boolean {
  if (bodyless.has(method)) return false;
  const length = headers['content-length'];
  return headers['transfer-encoding'] !== undefined || (length !== undefined && length !== '0');
}

/** A chunked body on a route that works without a body. */
function mayBeEmpty(request: FastifyRequest): boolean {
  return request.headers['transfer-encoding'] !== undefined && !takesRecords(request) && !needsBody(request);
}

function takesRecords({ routeOptions }: FastifyRequest): boolean {
  return routeOptions.config.takesRecords !== undefined;
}

const jsonAlone: readonly string[] = ['application/json'];

/** The type given to a body that is not read, whatever type it claims: no parser here reads this one. */
const ignoredType = 'application/octet-stream';

/** JSON has no charset but UTF-8 (RFC 8259 section 8.1); for records we accept no other either. */
function isOneOf(types: readonly string[], contentType: string | undefined): boolean {
  if (contentType === 'application/json') return types.includes(contentType);
  const [type = '', ...parameters] = partsOf(contentType);
  const charsets = parameters.filter((parameter) => parameter.startsWith('charset='));
  return types.includes(type) && charsets.every((charset) => /^charset="?utf-?8"?$/.test(charset));
}

function partsOf(contentType = ''): string[] {
  return contentType
    .toLowerCase()
    .split(';')
    .map((part) => part.trim());
}

/** The type of the body on an upload route. */
export function recordTypeOf({ raw }: FastifyRequest): RecordType {
  const [type] = partsOf(raw.headers['content-type']);
  return recordTypes.find((one) => one === type) ?? 'application/x-ndjson';
}

/** The codings a body was packed with, in order. `identity` is left out. */
function codingsIn(contentEncoding: string | undefined): string[] {
  if (contentEncoding === undefined) return [];
  const codings = contentEncoding
    .toLowerCase()
    .split(',')
    .map((coding) => coding.trim());
  return codings.filter((coding) => coding !== '' && coding !== 'identity');
}

function isGzip([coding = '', ...others]: readonly string[]): boolean {
  return others.length === 0 && (coding === 'gzip' || coding === 'x-gzip');
}

function needsBody(request: FastifyRequest): boolean {
  const schema: unknown = request.routeOptions.schema?.body;
  return schema instanceof z.ZodType && !schema.safeParse(undefined).success;
}
