/** How request bodies are read: JSON in UTF-8, plain or packed with gzip, and nothing else. */
import type { Readable } from 'node:stream';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { z } from 'zod';
import { type BodyPlace, countBody, makeBodyRoom, smallBodyBytes } from './body-room.ts';
import { gunzipBody } from './gunzip.ts';
import { readJson } from './json.ts';
import { notJsonDetail, ProblemError, tooLarge } from './problems.ts';
import { lineTypes, type RecordType, recordTypes } from './records.ts';
import { asksToContinue } from './request-heads.ts';

declare module 'fastify' {
  interface FastifyRequest {
    /** Of a body that is read whole; null without one. */
    bodyPlace: BodyPlace | null;
  }
  interface FastifyContextConfig {
    /** Takes records of any number, of these types: the body is what is read of them, as it comes in. */
    takesRecords?: readonly RecordType[];
    /** What is sent says nothing, whatever its type, and is not looked at: a parser of this scope for any type drops it. */
    ignoresBody?: boolean;
  }
}

/** Their bodies have no meaning (RFC 9110 section 9.3) and are not looked at. */
export const bodyless: ReadonlySet<string> = new Set(['GET', 'HEAD']);

/**
 * Makes `app` read bodies so, on every route.
 * @param roomBytes of large bodies in hand at once, those apart that stream through
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
    if (!config.ignoresBody && !hasBody(request)) return done(null, payload);
    if (request.is404 || config.ignoresBody) {
      request.headers = { 'content-type': ignoredType };
      return done(null, payload);
    }
    const types = config.takesRecords ?? jsonAlone;
    // What is sent in chunks may be nothing, of any type: that is known once it was read.
    if (mayBeEmpty(request)) request.headers = { 'content-type': 'application/json' };
    else if (!isOneOf(types, request.headers['content-type'])) {
      reply.header('accept', types.join(', '));
      const detail = types === jsonAlone ? notJsonDetail : `Send the body as ${types.join(' or ')} in UTF-8`;
      return done(new ProblemError('unsupported_media_type', detail));
    }
    // A body in JSON is read whole before its route, unless that takes records.
    if (takesRecords(request)) request.headers = { 'content-type': lineTypes[0] };
    else request.bodyPlace = room.enter(lengthOf(request) > smallBodyBytes);
    const codings = codingsOf(request.headers['content-encoding']);
    if (!isPlain(codings) && !isGzip(codings)) {
      reply.header('accept-encoding', 'gzip, identity');
      const detail = 'Send the body as it is or packed once, with Content-Encoding: gzip';
      return done(new ProblemError('unsupported_media_type', detail));
    }
    checkLength(request);
    if (asksToContinue(request.raw)) reply.raw.writeContinue();
    done(null, isPlain(codings) ? plainBody(request, payload) : unpackedBody(request, payload));
  });

  // Also of one that was cut off, whose answer nobody reads: what was read of it is let go here.
  app.addHook('onSend', (request, _reply, _payload, done) => {
    request.bodyPlace?.leave();
    done();
  });

  app.addHook('preValidation', (request, _reply, done) => {
    if (request.body !== undefined || !needsBody(request)) return done();
    const fault = { pointer: '', code: 'required', message: 'a JSON body is required' };
    done(new ProblemError('validation_error', 'A JSON body is required', [fault]));
  });
}

/** @throws ProblemError when a body that is read whole says a length for which there is no room: it is not asked for then */
function checkLength(request: FastifyRequest): void {
  const { bodyPlace, routeOptions } = request;
  const length = lengthOf(request);
  if (bodyPlace === null) return;
  if (length > routeOptions.bodyLimit) throw tooLarge(routeOptions.bodyLimit);
  if (!bodyPlace.fits(length)) throw noRoom(request, length);
}

function plainBody(request: FastifyRequest, payload: Readable): Readable {
  const { bodyLimit } = request.routeOptions;
  // What becomes larger than its route takes is refused by fastify, which then reads no more of it.
  if (request.bodyPlace !== null) countBody(payload, (bytes) => bytes > bodyLimit || takeRoom(request, bytes));
  return payload;
}

function unpackedBody(request: FastifyRequest, payload: Readable): Readable {
  return gunzipBody(payload, request.routeOptions.bodyLimit, (bytes) => takeRoom(request, bytes));
}

/** @throws ProblemError when too much is in hand */
function takeRoom(request: FastifyRequest, bytes: number): void {
  if (request.bodyPlace !== null && !request.bodyPlace.grow(bytes)) throw noRoom(request, bytes);
}

function noRoom(request: FastifyRequest, bytes: number): ProblemError {
  request.refusal = 'back_pressure';
  const isLarge = Math.max(bytes, lengthOf(request)) > smallBodyBytes;
  return new ProblemError(
    'service_unavailable',
    isLarge
      ? 'Too many large requests are in hand here for another (API_BODY_BYTES). Try again; small ones are taken'
      : 'Too many requests are in hand here for another (API_BODY_BYTES). Try again',
  );
}

/** As it is sent, which may be packed; 0 when it does not say. */
function lengthOf({ headers }: FastifyRequest): number {
  return Number(headers['content-length'] ?? 0);
}

/** RFC 9112 section 6: a request has a body when one of these is there. */
function hasBody({ method, headers }: FastifyRequest): boolean {
  if (bodyless.has(method)) return false;
  const length = headers['content-length'];
  return headers['transfer-encoding'] !== undefined || (length !== undefined && length !== '0');
}

/** In chunks, for a route that can do without. */
function mayBeEmpty(request: FastifyRequest): boolean {
  return request.headers['transfer-encoding'] !== undefined && !takesRecords(request) && !needsBody(request);
}

function takesRecords({ routeOptions }: FastifyRequest): boolean {
  return routeOptions.config.takesRecords !== undefined;
}

const jsonAlone: readonly string[] = ['application/json'];

/** Of a body that is not looked at, whatever it says of itself: no type that anything here reads. */
const ignoredType = 'application/octet-stream';

/** JSON has no other charset than UTF-8 (RFC 8259 section 8.1), and records have none here. */
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

/** Of a route that takes records. */
export function recordTypeOf({ raw }: FastifyRequest): RecordType {
  const [type] = partsOf(raw.headers['content-type']);
  return recordTypes.find((one) => one === type) ?? 'application/x-ndjson';
}

/** The codings a body was packed with, in order; `identity` is none. */
function codingsOf(contentEncoding: string | undefined): string[] {
  if (contentEncoding === undefined) return [];
  const codings = contentEncoding
    .toLowerCase()
    .split(',')
    .map((coding) => coding.trim());
  return codings.filter((coding) => coding !== '' && coding !== 'identity');
}

function isPlain(codings: readonly string[]): boolean {
  return codings.length === 0;
}

function isGzip([coding = '', ...others]: readonly string[]): boolean {
  return others.length === 0 && (coding === 'gzip' || coding === 'x-gzip');
}

function needsBody(request: FastifyRequest): boolean {
  const schema: unknown = request.routeOptions.schema?.body;
  return schema instanceof z.ZodType && !schema.safeParse(undefined).success;
}
