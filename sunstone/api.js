/*
 * FireEdge's API, as the user who is logged in. Every call ends: with data, or with an error that says why.
 */
window.OneDRModule.define('api', function (made) {
  'use strict'

  const { base, rules } = made
  const LIMIT_MS = 30000
  const TOKEN = 'FireedgeToken'

  // `kind`: login, refused (oned's own sentence) or silent.
  class ApiError extends Error {
    constructor(kind, message) {
      super(message)
      this.kind = kind
    }
  }

  // Sunstone 7.0 keeps its token in the browser's storage; later ones have a cookie that scripts cannot see.
  function headers() {
    const found = { 'Content-Type': 'application/json' }
    for (const storage of ['localStorage', 'sessionStorage']) {
      try {
        const token = window[storage].getItem(TOKEN)
        if (token) return { ...found, Authorization: 'Bearer ' + token }
      } catch (error) {
        continue // the browser forbids storage
      }
    }
    return found
  }

  // `zone`: the id of another zone than Sunstone's own, or ''.
  async function call(method, path, zone, body) {
    const stop = new AbortController()
    const timer = window.setTimeout(() => stop.abort(), LIMIT_MS)
    try {
      const response = await fetch(base + path + (zone === '' ? '' : '?zone=' + encodeURIComponent(zone)), {
        method,
        credentials: 'same-origin',
        cache: 'no-store',
        headers: headers(),
        signal: stop.signal,
        body: body && JSON.stringify(body),
      })
      return await read(response)
    } catch (error) {
      if (error instanceof ApiError) throw error
      throw new ApiError(
        'silent',
        stop.signal.aborted
          ? "Sunstone's server did not answer within " + LIMIT_MS / 1000 + ' s.'
          : "Sunstone's server does not answer.",
      )
    } finally {
      window.clearTimeout(timer)
    }
  }

  async function read(response) {
    if (response.status === 401)
      throw new ApiError('login', 'The session has ended. Log in to Sunstone again.')
    let answer
    try {
      answer = await response.json()
    } catch (error) {
      throw new ApiError(
        'silent',
        "Sunstone's server answered with something else than data (" + response.status + ').',
      )
    }
    if (!response.ok) {
      const said = answer && (typeof answer.data === 'string' && answer.data ? answer.data : answer.message)
      throw new ApiError('refused', rules.plain(said || response.status))
    }
    // The front-end's own clock: a browser's may be wrong.
    const date = Date.parse(response.headers.get('Date') || '')
    return { data: (answer || {}).data || {}, now: (Number.isNaN(date) ? Date.now() : date) / 1000 }
  }

  async function datastores(zone) {
    const { data, now } = await call('GET', '/datastorepool/info', zone)
    const found = rules.many((data.DATASTORE_POOL || {}).DATASTORE)
    return { datastores: found.filter(rules.isProtected).sort(rules.worstFirst), now }
  }

  // A datastore with the parts of its document; `problem` says why there are none.
  async function datastore(id, zone) {
    const { data, now } = await call('GET', '/datastore/info/' + id, zone)
    const found = {
      datastore: data.DATASTORE || {},
      now,
      status: null,
      run: null,
      plan: null,
      report: null,
      problem: '',
    }
    const document = rules.documentId(found.datastore)
    if (!document)
      return {
        ...found,
        problem: 'OneDR has not written its document yet; the keeper does so within a minute.',
      }
    try {
      const answer = await call('GET', '/document/info/' + document, zone)
      return { ...found, ...rules.readDocument(answer.data.DOCUMENT, found.datastore), now: answer.now }
    } catch (error) {
      if (error.kind !== 'refused') throw error
      return { ...found, problem: 'The details cannot be read: ' + error.message }
    }
  }

  // Append to a datastore's attributes: replacing would take away what others have written meanwhile.
  const ask = (id, attributes, zone) =>
    call('PUT', '/datastore/update/' + id, zone, { template: rules.template(attributes), replace: 1 })

  // An id by which a request is known again; it is accepted once.
  function request() {
    const bytes = window.crypto.getRandomValues(new Uint8Array(12))
    return 'sunstone-' + Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('')
  }

  return { ask, datastore, datastores, request }
})
