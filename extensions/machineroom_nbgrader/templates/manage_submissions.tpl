{%- extends 'nbgrader/manage_submissions.tpl' -%}

{%- block messages -%}
{{ super() }}
<p>
  <a class="btn btn-default" id="regrade" href="{{ base_url }}/formgrader/regrade/{{ assignment_id | urlencode }}">
    <span class="glyphicon glyphicon-repeat" aria-hidden="true"></span> Regrade with corrected checks</a>
  runs the checks as they are now on the machines as they were submitted. You see what changes before it counts.
</p>
{%- endblock -%}
