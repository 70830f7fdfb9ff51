/*
 * What is shown and what is sent, decided from what OpenNebula holds. Pure: no browser, no React.
 */
window.OneDRModule.define('rules', function () {
  'use strict'

  const SCHEMA = 1 // of the document (docs/document.md)
  const REQUEST_LIMIT_S = 90 // after which nobody waits for an answer any more

  // Worst first, as in onedr/runs/state.py.
  const SEVERITY = [
    'SPLIT_BRAIN',
    'RETURNED',
    'INTERRUPTED',
    'ACTIVE_UNPROTECTED',
    'DEGRADED',
    'FAILING_OVER',
    'FAILING_BACK',
    'REPROTECTING',
    'PROTECTING',
    'DRILLING',
    'UNPROTECTED',
    'STANDBY',
    'PROTECTED',
  ]
  const COLOURS = {
    SPLIT_BRAIN: 'error',
    RETURNED: 'error',
    INTERRUPTED: 'error',
    ACTIVE_UNPROTECTED: 'warning',
    DEGRADED: 'warning',
    FAILING_OVER: 'info',
    FAILING_BACK: 'info',
    REPROTECTING: 'info',
    PROTECTING: 'info',
    DRILLING: 'info',
    STANDBY: 'success',
    PROTECTED: 'success',
  }
  const TITLES = {
    MOVE: 'Move',
    FAILOVER: 'Failover',
    FAILBACK: 'Failback',
    REPROTECT: 'Reprotect',
    DRILL: 'Drill',
    DRILL_CLEANUP: 'Clean up drill',
    RESUME: 'Resume',
    ABORT: 'Abort',
    CANCEL: 'Cancel',
  }
  const DANGEROUS = ['FAILOVER', 'ABORT', 'CANCEL']

  // -- what OpenNebula's JSON holds -----------------------------------------------------------------------

  // Children of one name: one object, several as an array, none as "".
  const many = (value) => (value ? [].concat(value) : [])

  // Users write names and attributes: control characters, and those that turn text around, are shown.
  const plain = (value) =>
    String(value === undefined || value === null ? '' : value)
      // eslint-disable-next-line no-control-regex
      .replace(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u200e\u200f\u2028-\u202e\u2066-\u2069]/g, '\ufffd')

  const isProtected = (datastore) => {
    const template = datastore.TEMPLATE || {}
    return Boolean(String(template.DR_PROTECT).toUpperCase() === 'YES' || template.DR_DOCUMENT)
  }

  const documentId = (datastore) => {
    const id = plain((datastore.TEMPLATE || {}).DR_DOCUMENT)
    return /^\d+$/.test(id) ? id : ''
  }

  // The parts of a document; `problem` says why one of them cannot be used.
  function readDocument(document, datastore) {
    const found = { status: null, run: null, plan: null, report: null, problem: '' }
    const template = (document || {}).TEMPLATE || {}
    for (const name of ['STATUS', 'RUN', 'PLAN', 'REPORT']) {
      try {
        const part = JSON.parse(template[name] || 'null')
        if (part && part.schema !== SCHEMA)
          found.problem = 'The document is of another release of OneDR. Reload the page.'
        else if (part && part.datastore && String(part.datastore.id) !== String(datastore.ID)) {
          found.problem = 'DR_DOCUMENT names the document of another datastore.'
        } else found[name.toLowerCase()] = part
      } catch (error) {
        found.problem = 'The document cannot be read: ' + error.message
      }
    }
    return found.problem ? { ...found, status: null, run: null, plan: null, report: null } : found
  }

  // STATUS is not written while a run is in progress here: the attribute is newer then.
  const stateNow = (found) =>
    (found.status && !found.run && found.status.state) || fromAttributes(found.datastore).state

  // What DR_MESSAGE says of the last request that was refused, whoever made it; '' for none.
  const refusal = (datastore) => {
    const said = /Refused at .*/s.exec(plain((datastore.TEMPLATE || {}).DR_MESSAGE))
    return said ? said[0] : ''
  }

  // The page of the last drill's report; null where there is none, or it is that of another drill.
  function reportOf(found) {
    const { drill } = found.status || {}
    const name = plain((drill || {}).report).split('/').pop()
    return name && found.report && found.report.page && found.report.file === name ? found.report : null
  }

  // What the datastore's own attributes say: all that there is without a document.
  function fromAttributes(datastore) {
    const template = datastore.TEMPLATE || {}
    const [safe, total] = plain(template.DR_PROTECTED).split('/').map(Number)
    const point = Date.parse(template.DR_RECOVERY_POINT)
    return {
      state: plain(template.DR_STATE),
      role: plain(template.DR_ROLE),
      message: plain(template.DR_MESSAGE),
      protected: Number.isFinite(safe) ? safe : null,
      total: Number.isFinite(total) ? total : null,
      recovery_point: Number.isNaN(point) ? null : point / 1000,
      progress: plain(template.DR_PROGRESS),
    }
  }

  // -- numbers for people ---------------------------------------------------------------------------------

  const known = (value) => value !== null && value !== undefined && Number.isFinite(Number(value))

  function span(seconds) {
    if (!known(seconds)) return 'not known'
    const s = Math.max(0, Number(seconds))
    if (s < 10) return Math.round(s * 10) / 10 + ' s'
    if (s < 120) return Math.round(s) + ' s'
    if (s < 7200) return Math.round(s / 60) + ' min'
    return s < 172800 ? Math.round(s / 3600) + ' h' : Math.round(s / 86400) + ' days'
  }

  const moment = (at) =>
    known(at) ? new Date(at * 1000).toISOString().slice(0, 19).replace('T', ' ') + 'Z' : '–'

  function size(bytes) {
    if (!known(bytes)) return ''
    const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB']
    let value = Number(bytes)
    let unit = 0
    while (value >= 1024 && unit < 4) [value, unit] = [value / 1024, unit + 1]
    return (unit && value < 10 ? value.toFixed(1) : Math.round(value)) + ' ' + units[unit]
  }

  function loss(vm) {
    if (!known(vm.loss_s)) return 'not known'
    return Number(vm.loss_s) === 0
      ? 'none'
      : [span(vm.loss_s), size(vm.loss_bytes)].filter(Boolean).join(', ')
  }

  // The recovery point against the objective, by the front-end's clock.
  function age(point, objective, now) {
    if (!known(point)) return { text: 'none yet', late: true }
    const old = Math.max(0, now - point)
    return { text: span(old) + ' old', late: known(objective) && old > objective }
  }

  // -- what comes first, what is allowed, what is sent ----------------------------------------------------

  const rank = (state) => SEVERITY.indexOf(state) // -1 of one that is not known: it needs a look
  const worstFirst = (a, b) => {
    const states = [a, b].map((each) => rank(plain((each.TEMPLATE || {}).DR_STATE)))
    return states[0] - states[1] || plain(a.NAME).localeCompare(plain(b.NAME))
  }

  const actions = (found) => (found.run ? found.run.actions : (found.status || {}).actions) || []

  const title = (action) => TITLES[action] || plain(action)

  // DR_CONFIRM of an action; '' for none. A plan that is shown confirms exactly itself.
  function confirmation(action, plan, typed, name) {
    const planned = plan && plan.verb === action.action && !plan.error ? plan.confirm : ''
    if (action.confirm === 'name') return typed === name ? planned || name : ''
    return action.action === 'REPROTECT' ? '' : planned
  }

  // Giving images up is confirmed before it is planned.
  const planNeedsName = (action) => action.action === 'REPROTECT' && action.confirm === 'name'

  // Why an action cannot be started yet; '' when it can.
  function hindrance(action, plan, typed, name) {
    if (plan && plan.refusal) return 'The run would be refused.'
    if (action.plan && !plan) return 'The plan is not there yet.'
    if (action.plan && plan.error && action.confirm !== 'name') return 'There is no plan.'
    return action.confirm === 'name' && typed !== name ? 'The name is not typed yet.' : ''
  }

  // What became of a request: 'running', 'refused', 'ended', 'silent' or '' while nothing is known.
  function answer(asked, found, now) {
    const template = found.datastore.TEMPLATE || {}
    if (found.run && found.run.request === asked.request) return 'running'
    if (plain(template.DR_MESSAGE) !== asked.message && /Refused at |was taken off/.test(template.DR_MESSAGE))
      return 'refused'
    if (asked.ran && !found.run) return 'ended'
    const newest = ((found.status || {}).runs || [])[0]
    if (newest && newest.run !== asked.newest && !found.run) return 'ended'
    return now - asked.at > REQUEST_LIMIT_S ? 'silent' : ''
  }

  const escape = (value) => String(value).replace(/&/g, '&amp;').replace(/</g, '&lt;').replace(/>/g, '&gt;')

  // FireEdge puts the text into a CDATA section of its own: escaped, never another CDATA section.
  const template = (attributes) =>
    '<TEMPLATE>' +
    Object.keys(attributes)
      .filter((key) => attributes[key] !== '')
      .map((key) => '<' + key + '>' + escape(attributes[key]) + '</' + key + '>')
      .join('') +
    '</TEMPLATE>'

  // A VM's row in a document of its site.
  const rowOf = (status, vm) =>
    ((status.vms || {}).rows || []).find((row) => row.here && String(row.id) === String(vm.ID))

  // The datastores that a VM's disks are in.
  const datastoresOf = (vm) =>
    [...new Set(many((vm.TEMPLATE || {}).DISK).map((disk) => plain(disk.DATASTORE_ID)))].filter((id) =>
      /^\d+$/.test(id),
    )

  return {
    COLOURS,
    DANGEROUS,
    REQUEST_LIMIT_S,
    actions,
    age,
    answer,
    confirmation,
    datastoresOf,
    documentId,
    fromAttributes,
    hindrance,
    isProtected,
    known,
    loss,
    many,
    moment,
    plain,
    planNeedsName,
    readDocument,
    refusal,
    reportOf,
    rowOf,
    size,
    span,
    stateNow,
    template,
    title,
    worstFirst,
  }
})
