"use strict";
// By the prototype: a field named "submit" would stand in the way of the form's own method.
HTMLFormElement.prototype.submit.call(document.getElementById("submit"));
