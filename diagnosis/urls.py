"""The pages of the application."""

from django.urls import path

from diagnosis.views import films, home, models, patients, reviews, training

urlpatterns = [
    path("", home.home, name="home"),
    path("patients/", patients.patient_list, name="patients"),
    path("patients/new/", patients.register, name="patient_new"),
    path("patients/<int:pk>/", patients.history, name="patient"),
    path("patients/<int:pk>/edit/", patients.edit, name="patient_edit"),
    path("patients/<int:pk>/upload/", films.upload, name="upload"),
    path("films/<int:pk>/", films.film, name="film"),
    path("films/<int:pk>/status/", films.status, name="film_status"),
    path("films/<int:pk>/again/", films.read_again, name="film_again"),
    path("films/<int:pk>/image.png", films.image, name="film_image"),
    path("films/<int:pk>/preview.jpg", films.preview, name="film_preview"),
    path("predictions/<int:pk>/heatmap.png", films.heatmap, name="heatmap"),
    path("predictions/<int:pk>/review/", reviews.review, name="review"),
    path("review/", reviews.queue, name="review_queue"),
    path("models/", models.version_list, name="models"),
    path("models/production/", models.production, name="model_production"),
    path("models/<int:pk>/", models.version, name="model"),
    path("models/<int:pk>/promote/", models.promote, name="model_promote"),
    path("training/", training.runs, name="training"),
    path("training/<int:pk>/", training.run, name="training_run"),
    path("training/<int:pk>/status/", training.status, name="training_status"),
    path("training/<int:pk>/cancel/", training.cancel, name="training_cancel"),
    path("training/<int:pk>/manifest.csv", training.manifest_file, name="training_manifest"),
]
