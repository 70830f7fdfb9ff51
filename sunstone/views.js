/*
 * The small pieces that a datastore's and a VM's view are made of. No data is fetched here.
 */
window.OneDRModule.define('views', function (made) {
  'use strict'

  const { React, mui, rules, report } = made
  const h = React.createElement
  const { plain } = rules
  const STALE_S = 60 // a run shows itself every few seconds

  // Sunstone 7.4 is dark with a palette that says it is light: MUI's own colours of text are black then.
  // `theme`: Sunstone's; the one for what is ours, by what its background is like.
  function readable(theme) {
    const { palette } = theme
    if (palette.mode === 'dark' || mui.getLuminance(palette.background.default) > 0.5) return theme
    const main = palette.text.action || palette.primary.main
    const { background, divider } = palette
    const dark = mui.createTheme({ palette: { mode: 'dark', background, divider, primary: { main } } })
    return { ...theme, palette: { ...palette, ...dark.palette } }
  }

  // Text of users is text: React never takes it for markup.
  const Line = (props) =>
    h(mui.Typography, {
      variant: 'body2',
      component: 'div',
      ...props,
      sx: { whiteSpace: 'pre-wrap', overflowWrap: 'anywhere', ...props.sx },
    })

  const Notice = ({ severity, children, ...rest }) =>
    h(
      mui.Alert,
      {
        severity,
        variant: 'outlined',
        role: severity === 'error' ? 'alert' : 'status',
        ...rest,
        sx: { overflowWrap: 'anywhere', '& .MuiAlert-message': { minWidth: 0 } },
      },
      children,
    )

  const Section = ({ title, children, ...rest }) =>
    h(
      mui.Box,
      { component: 'section', ...rest },
      title &&
        h(mui.Typography, { variant: 'subtitle1', component: 'h3', sx: { fontWeight: 600, mb: 1 } }, title),
      children,
    )

  const StateChip = ({ state }) =>
    h(mui.Chip, {
      size: 'small',
      'data-cy': 'onedr-state',
      color: rules.COLOURS[state] || 'default',
      label: plain(state).replace(/_/g, ' ') || 'NO STATE YET',
    })

  const RoleChip = ({ role }) =>
    role
      ? h(mui.Chip, { size: 'small', variant: 'outlined', 'data-cy': 'onedr-role', label: plain(role) })
      : null

  // Names and values side by side, below each other where there is little room.
  const Facts = ({ rows }) =>
    h(
      mui.Box,
      {
        component: 'dl',
        sx: {
          m: 0,
          display: 'grid',
          columnGap: 2,
          rowGap: 0.5,
          gridTemplateColumns: { xs: '1fr', sm: 'minmax(120px, max-content) 1fr' },
        },
      },
      rows
        .filter(([, value]) => value !== null && value !== undefined && value !== '')
        .map(([name, value, key]) => [
          h(Line, { key: name, component: 'dt', sx: { color: 'text.secondary' } }, name),
          h(
            Line,
            { key: name + '=', component: 'dd', 'data-cy': key, sx: { m: 0, mb: { xs: 1, sm: 0 } } },
            value,
          ),
        ]),
    )

  // Recovery point, how old it is, and the objective.
  function pointText(status, now) {
    const { text, late } = rules.age(status.recovery_point, status.objective_s, now)
    const objective = rules.known(status.objective_s) ? ', objective ' + rules.span(status.objective_s) : ''
    const point = rules.known(status.recovery_point) ? rules.moment(status.recovery_point) + ', ' : ''
    return h(
      mui.Box,
      { component: 'span', sx: { color: late ? 'warning.main' : 'inherit' } },
      point + text + objective + (late && rules.known(status.recovery_point) ? ' – late' : ''),
    )
  }

  function drillText(found) {
    const { drill, datastore } = found.status
    if (!drill) return 'none yet'
    const part = rules.reportOf(found)
    return h(
      React.Fragment,
      null,
      plain(drill.result) +
        ' at ' +
        rules.moment(drill.at) +
        (rules.known(drill.rto_s) ? ', its VMs ran after ' + rules.span(drill.rto_s) : ''),
      part && h('div', null, h(report.ReportLink, { part, name: datastore.name })),
      drill.report &&
        h(
          Line,
          { sx: { color: 'text.secondary' }, 'data-cy': 'onedr-report' },
          (part ? 'Its files: ' : 'Its report: ') +
            'onedr drill report ' +
            plain(datastore.name) +
            ', or ' +
            [plain(drill.host), plain(drill.report)].filter(Boolean).join(':'),
        ),
    )
  }

  const rehearsalText = (rehearsal) =>
    rehearsal
      ? [
          rehearsal.accepted + ' accepted',
          rehearsal.refused && rehearsal.refused + ' refused',
          rehearsal.returns && rehearsal.returns + ' would return home',
          rehearsal.not_tried && rehearsal.not_tried + ' not tried',
        ]
          .filter(Boolean)
          .join(', ') +
        ' at ' +
        rules.moment(rehearsal.at)
      : 'none yet'

  const protectedText = (found) =>
    rules.known(found.total) ? found.protected + ' of ' + found.total + ' disks and images' : ''

  // What is known of a datastore: from its document, else from its attributes.
  function Summary({ found }) {
    const { status, now } = found
    const shown = status || rules.fromAttributes(found.datastore)
    return h(
      Section,
      { 'data-cy': 'onedr-summary' },
      h(
        mui.Box,
        { sx: { display: 'flex', gap: 1, flexWrap: 'wrap', alignItems: 'center', mb: 1 } },
        h(StateChip, { state: rules.stateNow(found) }),
        h(RoleChip, { role: shown.role }),
        status &&
          h(
            Line,
            { sx: { color: 'text.secondary' }, 'data-cy': 'onedr-as-of' },
            'as of ' + rules.moment(status.as_of) + ', ' + rules.span(now - status.as_of) + ' ago',
          ),
      ),
      h(Line, { 'data-cy': 'onedr-message', sx: { mb: 1 } }, plain(shown.message)),
      h(Facts, {
        rows: [
          ['Recovery point', pointText(shown, now), 'onedr-point'],
          ['Protected', protectedText(shown), 'onedr-protected'],
          [
            'Other site',
            status && plain(status.peer_state) + (status.peer_detail ? ': ' + plain(status.peer_detail) : ''),
          ],
          ['Mirroring', status && plain(status.mode)],
          ['Last drill', status && drillText(found), 'onedr-drill'],
          ['Last rehearsal', status && rehearsalText(status.rehearsal)],
          ['Progress', status ? '' : shown.progress],
        ],
      }),
    )
  }

  // The run in progress at this site, or what is known of one at the other.
  function Progress({ found }) {
    const { run, now } = found
    const other = (found.status || {}).run
    if (!run && !other) return null
    if (!run) {
      return h(
        Notice,
        { severity: 'info', 'data-cy': 'onedr-run' },
        rules.title(plain(other.verb).toUpperCase()) +
          ' in progress' +
          (other.here ? '' : ' at ' + plain(other.site)) +
          ' since ' +
          rules.moment(other.began) +
          ', started by ' +
          plain(other.by) +
          '.',
      )
    }
    const percent = run.steps_total ? Math.min(100, (100 * run.steps_done) / run.steps_total) : 0
    const at = [
      run.of ? plain(run.kind) + ' ' + run.done + ' of ' + run.of : plain(run.kind),
      run.bytes_total ? rules.size(run.bytes) + ' of ' + rules.size(run.bytes_total) : '',
      rules.known(run.left_s) ? 'about ' + rules.span(run.left_s) + ' to go' : '',
    ]
      .filter(Boolean)
      .join(', ')
    return h(
      Section,
      { 'data-cy': 'onedr-run', 'aria-live': 'polite' },
      h(
        Line,
        { sx: { fontWeight: 600 } },
        rules.title(plain(run.verb).toUpperCase()) +
          ' in progress for ' +
          rules.span(now - run.began) +
          ', started by ' +
          plain(run.by),
      ),
      h(mui.LinearProgress, {
        variant: run.steps_total ? 'determinate' : 'indeterminate',
        value: percent,
        sx: { my: 1 },
        'aria-label': 'Steps that ended',
      }),
      h(
        Line,
        { 'data-cy': 'onedr-steps' },
        run.steps_done +
          ' of ' +
          run.steps_total +
          ' steps' +
          (run.steps_failed ? ', ' + run.steps_failed + ' failed' : '') +
          (at ? '; now: ' + at : '') +
          (now - run.as_of > STALE_S ? '; nothing new for ' + rules.span(now - run.as_of) : ''),
      ),
      rules
        .many(run.failed)
        .map((each, i) =>
          h(Line, { key: i, sx: { color: 'error.main' } }, plain(each.item) + ': ' + plain(each.why)),
        ),
    )
  }

  return { Facts, Line, Notice, Progress, RoleChip, Section, StateChip, Summary, pointText, readable }
})
