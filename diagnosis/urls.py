"""The pages of the application."""

from django.urls import path

from diagnosis.views import batches, comparison, dicom, films, home, models, patients, reviews

urlpatterns = [
    path("", home.home, name="home"),
    path("patients/", patients.patient_list, name="patients"),
    path("patients/new/", patients.register, name="patient_new"),
    path("patients/from-dicom/", dicom.patient_from_dicom, name="patient_from_dicom"),
    path("patients/<int:pk>/", patients.history, name="patient"),
    path("patients/<int:pk>/edit/", patients.edit, name="patient_edit"),
    path("patients/<int:pk>/upload/", films.upload, name="upload"),
    path("batches/", batches.batch_list, name="batches"),
    path("batches/new/", batches.begin, name="batch_new"),
    path("batches/<int:pk>/", batches.batch, name="batch"),
    path("batches/<int:pk>/status/", batches.status, name="batch_status"),
    path("batches/<int:pk>/undecided/", batches.undecided, name="batch_undecided"),
    path("batches/<int:pk>/announce/", batches.announce, name="batch_announce"),
    path("batches/<int:pk>/films/", batches.receive, name="batch_receive"),
    path("batches/<int:pk>/zip/", batches.receive_part, name="batch_part"),
    path("batches/<int:pk>/assign/", batches.assign, name="batch_assign"),
    path("batches/<int:pk>/give-up/", batches.give_up, name="batch_give_up"),
    path("arrivals/<int:pk>/preview.jpg", batches.waiting_picture, name="arrival_preview"),
    path("films/<int:pk>/", films.film, name="film"),
    path("films/<int:pk>/status/", films.status, name="film_status"),
    path("films/<int:pk>/again/", films.read_again, name="film_again"),
    path("films/<int:pk>/image.png", films.image, name="film_image"),
    path("films/<int:pk>/preview.jpg", films.preview, name="film_preview"),
    path("predictions/<int:pk>/heatmap.png", films.heatmap, name="heatmap"),
    path("predictions/<int:pk>/review/", reviews.review, name="review"),
    path("review/", reviews.queue, name="review_queue"),
    path("models/", models.version_list, name="models"),
    path("models/compare/", comparison.compare, name="model_compare"),
    path("models/production/", models.production, name="model_production"),
    path("models/<int:pk>/", models.version, name="model"),
    path("models/<int:pk>/failures.jpg", comparison.failures, name="model_failures"),
    path("models/<int:pk>/promote/", models.promote, name="model_promote"),
]
